/* version - of restante, the programs and the library alike. */
#ifndef RESTANTE_VERSION_H
#define RESTANTE_VERSION_H

#define RESTANTE_VERSION "0.1.0"

#endif
