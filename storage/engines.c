#include "storage/engine.h"

const struct engine *const engines[] = { &engine_rocksdb, &engine_memory, NULL };
