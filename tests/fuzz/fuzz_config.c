/* Whatever is in a settings file: it is refused with a complaint, or every value lies in its range
 * and the file means the same when it is read again. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "server/hosts.h"
#include "server/listen.h"
#include "server/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KB (UINT64_C(1) << 10)
#define MB (UINT64_C(1) << 20)
#define GB (UINT64_C(1) << 30)
#define TB (UINT64_C(1) << 40)
#define DAY UINT64_C(86400)

static void count(void *ctx, const char *text)
{
	size_t *complaints = ctx;

	assert(text[0] != '\0');
	for (const char *p = text; *p != '\0'; p++)
		assert((unsigned char)*p >= 32 && *p != 127);
	(*complaints)++;
}

static void within(uint64_t v, uint64_t min, uint64_t max)
{
	assert(v >= min && v <= max);
}

static void check_numbers(const struct settings *s)
{
	within(s->http_loops, 0, 256);
	within(s->http_header_max, 2 * KB, 8 * KB);
	within(s->http_timeout, 1, 3600);
	within(s->http_connections, 1, 1000000);
	within(s->http_connections_per_address, 0, 1000000);
	within(s->http_stop_grace, 0, 3600);
	within(s->upload_max, 1, 16 * TB);
	within(s->upload_memory, MB, TB);
	within(s->upload_min_free, 0, 1024 * TB);
	within(s->upload_workers, 1, 256);
	within(s->upload_ttl_max, 1, 3650 * DAY);
	within(s->upload_ttl_photo, 1, s->upload_ttl_max);
	within(s->upload_ttl_video, 1, s->upload_ttl_max);
	within(s->upload_ttl_voice, 1, s->upload_ttl_max);
	within(s->upload_ttl_file, 1, s->upload_ttl_max);
	within(s->fetch_cache, 0, TB);
	within(s->fetch_memory, MB, TB);
	within(s->fetch_workers, 1, 256);
	within(s->fetch_records, 1, 100000000);
	within(s->store_segment_threshold, 64 * KB, TB);
	within(s->store_segment_size, MB, GB);
	within(s->store_write_buffer, MB, 4 * GB);
	within(s->expiry_interval, 0, DAY);
	within(s->grants_leeway, 0, 3600);
}

static void check_listeners(const struct settings *s)
{
	within(s->listen_count, 1, SETTINGS_LISTEN_MAX);
	for (size_t i = 0; i < s->listen_count; i++) {
		assert(listen_check(s->listen[i].address, NULL) == ERR_OK);
		assert(!s->listen[i].tls ||
		       (s->tls_certificate[0] != '\0' && s->tls_key[0] != '\0'));
	}
}

static void check_strings(const struct settings *s)
{
	assert(s->data_dir[0] != '\0' && s->store_engine[0] != '\0' && s->admin_socket != NULL);
	assert(strcmp(s->log_level, "debug") == 0 || strcmp(s->log_level, "info") == 0 ||
	       strcmp(s->log_level, "warn") == 0 || strcmp(s->log_level, "error") == 0);
	for (const char *p = s->http_cors_origin; *p != '\0'; p++) /* goes into a header */
		assert((unsigned char)*p > 32 && *p != 127);
}

static void check_keys(const struct settings *s)
{
	within(s->grant_key_count, 0, SETTINGS_GRANT_KEYS_MAX);
	for (size_t i = 0; i < s->grant_key_count; i++) {
		const struct settings_grant_key *k = &s->grant_keys[i];

		within(strlen(k->kid), 1, SETTINGS_KID_MAX);
		assert(settings_grant_key(s, k->kid) == k->key);
	}
}

static void check_one(const struct settings *s)
{
	check_numbers(s);
	check_listeners(s);
	check_strings(s);
	check_keys(s);
}

static void check_name(const struct settings *s, const char *name, const struct settings *host)
{
	char asked[HOSTS_NAME_MAX + 8];
	int n = snprintf(asked, sizeof(asked), "%s:80", name[0] == '*' ? name + 1 : name);

	assert(hosts_fits(name, true));
	for (const char *p = name; *p != '\0'; p++)
		assert(*p < 'A' || *p > 'Z');
	if (name[0] != '*')
		assert(hosts_find(s, asked, (size_t)n) == host);
}

static void check_hosts(const struct settings *s)
{
	within(s->host_count, 0, SETTINGS_HOSTS_MAX);
	for (size_t i = 0; i < s->host_count; i++) {
		const struct settings *h = &s->hosts[i];

		check_one(h);
		assert(h->grant_key_count > 0 || strcmp(h->auth, "grants") != 0);
		assert(h->host_count == 0 && h->upload_workers == s->upload_workers);
		check_name(s, h->name, h);
		for (size_t k = 0; k < h->alias_count; k++)
			check_name(s, h->alias[k], h);
	}
}

/* What is printed of them is read, and printed, as the same. */
static void check_printed(const struct settings *s)
{
	char *text[2] = { NULL, NULL };
	size_t n[2];
	struct settings again;
	FILE *f = open_memstream(&text[0], &n[0]);

	assert(f != NULL);
	settings_print_running(s, f);
	(void)fclose(f);
	assert(settings_parse(&again, text[0], n[0], NULL, NULL, NULL) == ERR_OK);
	f = open_memstream(&text[1], &n[1]);
	assert(f != NULL);
	settings_print_running(&again, f);
	(void)fclose(f);
	assert(n[0] == n[1] && memcmp(text[0], text[1], n[0]) == 0);
	assert(settings_fixed_changes(s, &again, stderr) == 0);
	settings_free(&again);
	free(text[0]);
	free(text[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings s, again;
	struct err e;
	size_t complaints = 0;
	enum err_code rc;

	if (sodium_init() < 0)
		return 0;
	rc = settings_parse(&s, (const char *)data, size, count, &complaints, &e);

	if (rc != ERR_OK) {
		assert(rc == ERR_INVALID && complaints > 0 && e.why[0] != '\0');
		return 0;
	}
	assert(complaints == 0);
	check_one(&s);
	assert(s.host_count > 0 || s.grant_key_count > 0 || strcmp(s.auth, "grants") != 0);
	check_hosts(&s);
	check_printed(&s);
	assert(settings_parse(&again, (const char *)data, size, NULL, NULL, NULL) == ERR_OK);
	assert(settings_fixed_changes(&s, &again, stderr) == 0);
	settings_free(&again);
	settings_free(&s);
	return 0;
}
