#include "server/address.h"

#include <netinet/in.h>
#include <string.h>

struct address address_of(const struct sockaddr *sa)
{
	struct address a = { { 0 } };
	const struct sockaddr_in6 *v6 = (const void *)sa;

	if (sa->sa_family == AF_INET) {
		a.key[0] = 4;
		memcpy(a.key + 1, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
	} else if (sa->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		a.key[0] = 4;
		memcpy(a.key + 1, v6->sin6_addr.s6_addr + 12, 4);
	} else if (sa->sa_family == AF_INET6) {
		a.key[0] = 6;
		memcpy(a.key + 1, v6->sin6_addr.s6_addr, 8);
	}
	return a;
}
