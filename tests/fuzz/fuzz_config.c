/* Whatever is in a settings file: it is refused with a complaint, or every value lies in its range
 * and the file means the same when it is read again. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

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
	assert(s->grant_key_count > 0 || strcmp(s->auth, "grants") != 0);
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
	check_numbers(&s);
	check_listeners(&s);
	check_strings(&s);
	check_keys(&s);
	assert(settings_parse(&again, (const char *)data, size, NULL, NULL, NULL) == ERR_OK);
	assert(settings_fixed_changes(&s, &again, stderr) == 0);
	settings_free(&again);
	settings_free(&s);
	return 0;
}
