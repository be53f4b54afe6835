#include "restante/restante.h"

const char *restante_version(void)
{
	return RESTANTE_VERSION;
}
