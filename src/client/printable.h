/* printable - words of others for a person's terminal. Any thread. */
#ifndef RESTANTE_CLIENT_PRINTABLE_H
#define RESTANTE_CLIENT_PRINTABLE_H

/* Replaces what is not printable ASCII by "?": no control characters, no other way of writing. */
static inline void printable(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || (unsigned char)*text > '~')
			*text = '?';
}

#endif
