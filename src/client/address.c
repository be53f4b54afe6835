#include "client/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>
#include <sodium.h>

#include "client/fail.h"

/* Only what RFC 3986 has in an address, and no "#": readers of addresses disagree about the rest.
 */
static bool is_clean(const char *text)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789-._~:/?[]@!$&'()*+,;=%";
	const size_t n = strnlen(text, ADDRESS_MAX + 1);

	return n > 0 && n <= ADDRESS_MAX && strspn(text, allowed) == n;
}

/* A part of an address in small letters, malloc'd; NULL if it is not there. */
static char *part_of(CURLU *u, CURLUPart which)
{
	char *part = NULL, *copy;

	if (curl_url_get(u, which, &part, CURLU_DEFAULT_PORT) != CURLUE_OK)
		return NULL;
	copy = strdup(part);
	curl_free(part);
	for (char *p = copy; p != NULL && *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	return copy;
}

/* As RFC 6454 section 4 compares it; malloc'd, NULL if it has none. */
static char *origin_of(CURLU *u)
{
	char *scheme = part_of(u, CURLUPART_SCHEME);
	char *host = part_of(u, CURLUPART_HOST);
	char *port = part_of(u, CURLUPART_PORT);
	char *origin = NULL;

	if (scheme != NULL && host != NULL && port != NULL &&
	    asprintf(&origin, "%s://%s:%s", scheme, host, port) < 0)
		origin = NULL;
	free(scheme);
	free(host);
	free(port);
	return origin;
}

/* Addresses of uploads have tokens in them; libcurl's own copies are out of reach. */
static void free_url(char *url)
{
	if (url != NULL)
		sodium_memzero(url, strlen(url));
	curl_free(url);
}

void address_free(char *url)
{
	if (url != NULL)
		sodium_memzero(url, strlen(url));
	free(url);
}

static bool is_loopback(const char *host)
{
	struct in_addr v4;

	if (strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
		return true;
	return inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
}

/* ---- the server's own ---- */

static enum restante_code read_base(CURLU *u, const char *url, struct restante_error *e)
{
	char *scheme;
	bool ours;

	if (!is_clean(url) || strchr(url, '?') != NULL ||
	    curl_url_set(u, CURLUPART_URL, url, CURLU_DISALLOW_USER) != CURLUE_OK)
		return fail(e, RESTANTE_INVALID,
			    "the server's address is none: it is written as "
			    "https://host[:port][/path], without user and query");
	scheme = part_of(u, CURLUPART_SCHEME);
	ours = scheme != NULL && (strcmp(scheme, "https") == 0 || strcmp(scheme, "http") == 0);
	free(scheme);
	if (!ours)
		return fail(e, RESTANTE_INVALID,
			    "the server's address begins with neither https:// nor http://");
	return RESTANTE_OK;
}

static char *without_slash(char *url)
{
	char *copy = strdup(url);

	for (size_t n = copy == NULL ? 0 : strlen(copy); n > 0 && copy[n - 1] == '/'; n--)
		copy[n - 1] = '\0';
	return copy;
}

static enum restante_code take_base(struct address *a, CURLU *u, struct restante_error *e)
{
	char *url = NULL, *host = part_of(u, CURLUPART_HOST);

	a->origin = origin_of(u);
	if (curl_url_get(u, CURLUPART_URL, &url, 0) == CURLUE_OK)
		a->base = without_slash(url);
	curl_free(url);
	if (a->origin != NULL)
		a->host = strdup(strstr(a->origin, "//") + 2);
	if (host == NULL || a->base == NULL || a->host == NULL) {
		free(host);
		return fail_plain(e, RESTANTE_NOMEM);
	}
	a->plain = strncmp(a->origin, "http:", 5) == 0;
	a->loopback = is_loopback(host);
	free(host);
	if (a->plain && !a->loopback)
		return fail(e, RESTANTE_UNTRUSTED,
			    "%.100s: plain http is for loopback only, use https", a->host);
	return RESTANTE_OK;
}

enum restante_code address_init(struct address *out, const char *url, struct restante_error *e)
{
	struct address a = { 0 };
	enum restante_code rc;
	CURLU *u = curl_url();

	if (u == NULL)
		return fail_plain(e, RESTANTE_NOMEM);
	rc = read_base(u, url, e);
	if (rc == RESTANTE_OK)
		rc = take_base(&a, u, e);
	curl_url_cleanup(u);
	if (rc == RESTANTE_OK)
		*out = a;
	else
		address_fini(&a);
	return rc;
}

void address_fini(struct address *a)
{
	free(a->base);
	free(a->origin);
	free(a->host);
	*a = (struct address){ 0 };
}

/* ---- others of the same origin ---- */

/* What is in u, if it belongs to the origin. */
static enum restante_code give(const struct address *a, CURLU *u, char **out,
			       struct restante_error *e)
{
	char *origin = origin_of(u), *url = NULL, *user = part_of(u, CURLUPART_USER);
	const bool same = origin != NULL && user == NULL && strcmp(origin, a->origin) == 0;

	free(origin);
	free(user);
	if (!same)
		return fail(e, RESTANTE_UNTRUSTED, "%.100s points to another server", a->host);
	if (curl_url_get(u, CURLUPART_URL, &url, 0) == CURLUE_OK)
		*out = strdup(url);
	else
		*out = NULL;
	free_url(url);
	return *out != NULL ? RESTANTE_OK : fail_plain(e, RESTANTE_NOMEM);
}

static enum restante_code follow(const struct address *a, const char *against,
				 const char *reference, char **out, struct restante_error *e)
{
	enum restante_code rc;
	CURLU *u = curl_url();
	CURLUcode c;

	if (u == NULL)
		return fail_plain(e, RESTANTE_NOMEM);
	c = curl_url_set(u, CURLUPART_URL, against, CURLU_DISALLOW_USER);
	if (c == CURLUE_OK && reference != NULL)
		c = curl_url_set(u, CURLUPART_URL, reference, CURLU_DISALLOW_USER);
	if (c == CURLUE_OK)
		rc = give(a, u, out, e);
	else if (c == CURLUE_USER_NOT_ALLOWED || c == CURLUE_UNSUPPORTED_SCHEME)
		rc = fail(e, RESTANTE_UNTRUSTED, "%.100s points to another server", a->host);
	else
		rc = fail(e, RESTANTE_INVALID, "%.100s gave an address that is none", a->host);
	curl_url_cleanup(u);
	return rc;
}

enum restante_code address_join(const struct address *a, const char *target, char **out,
				struct restante_error *e)
{
	enum restante_code rc;
	char *whole = NULL;

	if (!is_clean(target) || target[0] != '/')
		return fail(e, RESTANTE_INVALID, "a path on the server begins with /");
	if (asprintf(&whole, "%s%s", a->base, target) < 0)
		return fail_plain(e, RESTANTE_NOMEM);
	rc = follow(a, whole, NULL, out, e);
	address_free(whole);
	return rc;
}

enum restante_code address_resolve(const struct address *a, const char *against,
				   const char *reference, char **out, struct restante_error *e)
{
	enum restante_code rc;
	char *root = NULL;

	if (!is_clean(reference))
		return fail(e, RESTANTE_INVALID, "%.100s gave an address that is none", a->host);
	if (against != NULL)
		return follow(a, against, reference, out, e);
	/* the base is a folder: what it has is below it */
	if (asprintf(&root, "%s/", a->base) < 0)
		return fail_plain(e, RESTANTE_NOMEM);
	rc = follow(a, root, reference, out, e);
	free(root);
	return rc;
}
