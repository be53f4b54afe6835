/* verify_grant PUBLIC-KEY NAME [NOW] - judges the grants that come in, a line each, as a server of
 * that name does: a line for each goes out, a JSON object with what it says, or "refused: WHY". */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/text.h"
#include "wire/grant.h"
#include "wire/paserk.h"

static void put_text(json_t *o, const char *name, const char *text)
{
	if (text[0] != '\0')
		(void)json_object_set_new(o, name, json_string(text));
}

static void put_number(json_t *o, const char *name, bool given, uint64_t n)
{
	if (given)
		(void)json_object_set_new(o, name, json_integer((json_int_t)n));
}

static char *described(const struct grant *g)
{
	char sha256[HEX_LEN(sizeof(g->digest.b)) + 1] = "", *text;
	json_t *o = json_object();

	if (g->digest_given)
		hex_encode(sha256, g->digest.b, sizeof(g->digest.b));
	put_text(o, "kid", g->kid);
	put_text(o, "aud", g->aud);
	put_number(o, "exp", true, (uint64_t)g->exp);
	put_number(o, "nbf", g->nbf != 0, (uint64_t)g->nbf);
	put_number(o, "iat", g->iat != 0, (uint64_t)g->iat);
	put_text(o, "jti", g->jti);
	put_number(o, "max", g->max_given, g->max);
	put_number(o, "ttl", g->ttl_given, g->ttl);
	put_number(o, "recipients", g->recipients_given, g->recipients);
	put_text(o, "kind", g->kind);
	put_text(o, "sha256", sha256);
	put_text(o, "bucket", g->bucket);
	if (g->reuse)
		(void)json_object_set_new(o, "reuse", json_true());
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}

static void judge(const char *token, const uint8_t *key, const char *name, int64_t now)
{
	struct grant g;
	struct err e;
	char *text;

	if (grant_verify(&g, token, strlen(token), key, name, now, 0, &e) != ERR_OK) {
		(void)printf("refused: %s\n", e.why);
		return;
	}
	text = described(&g);
	(void)printf("%s\n", text != NULL ? text : "refused: out of memory");
	free(text);
}

int main(int argc, char **argv)
{
	uint8_t key[GRANT_KEYBYTES];
	uint64_t now = (uint64_t)clock_now_s();
	char line[16384];

	if (sodium_init() < 0 || argc < 3 || argc > 4 ||
	    !paserk_read_public(key, argv[1], strlen(argv[1])) ||
	    (argc == 4 && !num_u64(argv[3], strlen(argv[3]), INT64_MAX, &now))) {
		(void)fprintf(stderr, "usage: verify_grant PUBLIC-KEY NAME [NOW] <grants\n");
		return 2;
	}
	while (fgets(line, sizeof(line), stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		judge(line, key, argv[2], (int64_t)now);
	}
	return 0;
}
