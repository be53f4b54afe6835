/* fuzz_ogg - the input is a voice note, to be measured and stripped: as it is, and then again with
 * the sums of its pages made right, so that changes inside of pages get past the first check. */
#undef NDEBUG
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "voice/strip.h"
#include "voice/voice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libopusfile 0.12 loses the comments of a link of a chain whose times turn out to be wrong. */
const char *__lsan_default_suppressions(void)
{
	return "leak:libopusfile\n";
}

#define DAY_MS (UINT64_C(24) * 3600 * 1000)

static void check_measured(const struct voice *v)
{
	uint8_t loudest = 0;

	for (size_t i = 0; i < VOICE_BARS; i++)
		if (v->bars[i] > loudest)
			loudest = v->bars[i];
	assert(loudest == 0 || loudest == 100);
	assert(v->duration_ms > 0 && v->duration_ms <= DAY_MS);
}

static void check_refused(enum err_code rc, const struct err *e)
{
	assert(rc == ERR_INVALID || rc == ERR_TOOBIG);
	assert(e->code == rc && e->why[0] != '\0' && strchr(e->why, '\n') == NULL);
	assert(strlen(e->why) < sizeof(e->why) - 1);
}

/* What is written has nothing more to be taken out. */
static void check_stripped(struct bytes in)
{
	struct err e = { ERR_OK, "" };
	uint8_t *out, *again;
	size_t size, twice;

	if (voice_strip(in, &out, &size, &e) != ERR_OK) {
		check_refused(e.code, &e);
		return;
	}
	assert(size <= in.len);
	assert(voice_strip((struct bytes){ out, size }, &again, &twice, &e) == ERR_OK);
	assert(twice == size && memcmp(out, again, size) == 0);
	free(again);
	free(out);
}

static void check(const uint8_t *data, size_t size)
{
	struct bytes in = { data, size };
	struct voice v, again;
	struct err e = { ERR_OK, "" };
	enum err_code rc = voice_measure(&v, in, &e);

	check_stripped(in);
	if (rc != ERR_OK) {
		check_refused(rc, &e);
		return;
	}
	check_measured(&v);
	assert(voice_measure(&again, in, &e) == ERR_OK);
	assert(again.duration_ms == v.duration_ms);
	assert(memcmp(again.bars, v.bars, sizeof(v.bars)) == 0);
}

/* The sum of a page (RFC 3533 section 6): polynomial 0x04c11db7, the highest bit first. */
static uint32_t page_sum(const uint8_t *p, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		sum ^= (uint32_t)p[i] << 24;
		for (int bit = 0; bit < 8; bit++)
			sum = sum << 1 ^ ((sum >> 31) != 0 ? UINT32_C(0x04c11db7) : 0);
	}
	return sum;
}

/* Bytes of the page at p, or 0. */
static size_t whole_page(const uint8_t *p, size_t left)
{
	size_t size = 27;

	if (left < size || memcmp(p, "OggS", 4) != 0 || left < size + p[26])
		return 0;
	for (size_t i = 0; i < p[26]; i++)
		size += p[27 + i];
	size += p[26];
	return size <= left ? size : 0;
}

static void mend_sums(uint8_t *data, size_t size)
{
	for (size_t at = 0, n; at < size; at += n) {
		uint32_t sum;

		n = whole_page(data + at, size - at);
		if (n == 0)
			return;
		memset(data + at + 22, 0, 4);
		sum = page_sum(data + at, n);
		for (size_t i = 0; i < 4; i++)
			data[at + 22 + i] = (uint8_t)(sum >> (8 * i));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);

	assert(copy != NULL);
	check(data, size);
	if (size > 0)
		memcpy(copy, data, size);
	mend_sums(copy, size);
	check(copy, size);
	free(copy);
	return 0;
}
