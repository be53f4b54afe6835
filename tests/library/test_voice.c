/* Voice notes, made by opusenc and by ffmpeg: how long, and how loud, where; and what is taken out
 * of them before they are sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "voice/strip.h"
#include "voice/voice.h"

#define FILE_MAX ((size_t)1 << 20)

static char folder[] = "/tmp/restante-voice-XXXXXX";
static uint8_t content[FILE_MAX];

static bool have_tools(void)
{
	return system("command -v ffmpeg opusenc >/dev/null") == 0;
}

static int make_media(void **state)
{
	char command[128];

	(void)state;
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(command, sizeof(command), "tests/library/make-media %s voice", folder);
	return have_tools() ? system(command) : 0;
}

static int remove_media(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static struct bytes load(const char *name)
{
	char path[128];
	size_t n;
	FILE *f;

	if (!have_tools())
		skip();
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "rb");
	assert_non_null(f);
	n = fread(content, 1, sizeof(content), f);
	fclose(f);
	assert_true(n < FILE_MAX);
	return (struct bytes){ content, n };
}

static struct voice measure(const char *name)
{
	struct err e = { ERR_OK, "" };
	struct voice v;

	if (voice_measure(&v, load(name), &e) != ERR_OK)
		fail_msg("%s: %s", name, e.why);
	return v;
}

static void check_refused(const char *name, const char *because)
{
	struct err e = { ERR_OK, "" };
	struct voice v;

	assert_int_equal(voice_measure(&v, load(name), &e), ERR_INVALID);
	if (strstr(e.why, because) == NULL)
		fail_msg("%s: %s", name, e.why);
}

static uint8_t loudest(const struct voice *v, size_t from, size_t to)
{
	uint8_t most = 0;

	for (size_t i = from; i < to; i++)
		if (v->bars[i] > most)
			most = v->bars[i];
	return most;
}

static uint8_t quietest(const struct voice *v, size_t from, size_t to)
{
	uint8_t least = 100;

	for (size_t i = from; i < to; i++)
		if (v->bars[i] < least)
			least = v->bars[i];
	return least;
}

/* ---- length ---- */

static void a_note_is_as_long_as_what_was_recorded(void **state)
{
	(void)state;
	assert_int_equal(measure("shape.opus").duration_ms, 4800);
	assert_int_equal(measure("stereo.opus").duration_ms, 2500);
	assert_int_equal(measure("surround.opus").duration_ms, 1000);
	assert_int_equal(measure("short.opus").duration_ms, 100);
	assert_in_range(measure("by-ffmpeg.ogg").duration_ms, 4800, 4827);
}

static void a_chain_is_as_long_as_its_links(void **state)
{
	struct voice v = measure("chained.opus");

	(void)state;
	assert_int_equal(v.duration_ms, 4800 + 2500);
	assert_true(loudest(&v, 0, 12) > 50 && loudest(&v, 16, 26) < 30 && loudest(&v, 44, 64) > 5);
}

static void fewer_samples_than_bars_are_a_note_too(void **state)
{
	struct voice v = measure("tiny.opus");

	(void)state;
	assert_int_equal(v.duration_ms, 1);
	assert_int_equal(loudest(&v, 0, VOICE_BARS), 100);
}

/* ---- loudness ---- */

static void check_shape(const char *name)
{
	struct voice v = measure(name);

	/* thirds of 21 and a third bars: 0.5, 0.05, 0.5 */
	assert_in_range(quietest(&v, 1, 21), 90, 100);
	assert_in_range(quietest(&v, 23, 42), 7, 13);
	assert_in_range(loudest(&v, 23, 42), 7, 13);
	assert_in_range(quietest(&v, 44, 63), 90, 100);
	assert_int_equal(loudest(&v, 0, VOICE_BARS), 100);
}

static void bars_have_the_shape_of_the_sound(void **state)
{
	(void)state;
	check_shape("shape.opus");
	check_shape("by-ffmpeg.ogg");
}

static void steady_sound_has_steady_bars(void **state)
{
	struct voice v = measure("stereo.opus");

	(void)state;
	assert_true(quietest(&v, 1, 63) >= 75);
	v = measure("surround.opus");
	assert_true(quietest(&v, 1, 63) >= 75);
}

static void silence_has_no_bars(void **state)
{
	struct voice v = measure("silence.opus");

	(void)state;
	assert_int_equal(v.duration_ms, 2000);
	assert_int_equal(loudest(&v, 0, VOICE_BARS), 0);
	v = measure("hum.opus");
	assert_int_equal(loudest(&v, 0, VOICE_BARS), 0);
}

static void tags_and_covers_change_nothing(void **state)
{
	struct voice plain = measure("shape.opus");
	struct voice tagged = measure("tagged.opus");

	(void)state;
	assert_int_equal(tagged.duration_ms, plain.duration_ms);
	assert_memory_equal(tagged.bars, plain.bars, VOICE_BARS);
}

/* ---- what is refused ---- */

static void damaged_notes_are_refused(void **state)
{
	(void)state;
	check_refused("cut.opus", "cut short");
	check_refused("changed.opus", "damaged or misses a part");
	check_refused("trailing.opus", "damaged");
	check_refused("empty.opus", "empty");
}

static void other_sound_is_named_and_how_to_convert_it(void **state)
{
	(void)state;
	check_refused("vorbis.ogg",
		      "Vorbis in Ogg; a voice note is Opus in Ogg. Convert it: ffmpeg ");
	check_refused("sound.mp3", "this is MP3; a voice note is Opus in Ogg. Convert it: ffmpeg ");
	check_refused("sound.flac", "Convert it: opusenc ");
	check_refused("shape.wav", "Convert it: opusenc ");
	check_refused("words.opus", "no Opus in Ogg");
}

/* The sum of a page (RFC 3533 section 6). */
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

static void put_little_endian(uint8_t *p, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* Has the last page of a note end at the given sample. */
static void set_end(struct bytes note, uint64_t sample)
{
	uint8_t *page = content + note.len - 27;

	while (memcmp(page, "OggS", 4) != 0)
		page--;
	put_little_endian(page + 6, sample, 8);
	put_little_endian(page + 22, 0, 4);
	put_little_endian(page + 22, page_sum(page, (size_t)(content + note.len - page)), 4);
}

static void a_day_is_the_most(void **state)
{
	struct bytes note = load("shape.opus");
	struct err e = { ERR_OK, "" };
	struct voice v;

	(void)state;
	set_end(note, UINT64_C(48000) * 86400);
	assert_int_equal(voice_measure(&v, note, &e), ERR_OK);
	assert_in_range(v.duration_ms, 86399900, 86400000);
	set_end(note, UINT64_C(48000) * 86401);
	assert_int_equal(voice_measure(&v, note, &e), ERR_TOOBIG);
	assert_non_null(strstr(e.why, "24 hours"));
}

/* ---- what is taken out ---- */

/* Strips a note into FOLDER/sent. */
static void strip(const char *name)
{
	struct bytes in = load(name);
	struct err e = { ERR_OK, "" };
	char path[128];
	uint8_t *out;
	size_t size;
	FILE *f;

	if (voice_strip(in, &out, &size, &e) != ERR_OK)
		fail_msg("%s: %s", name, e.why);
	assert_true(size <= in.len);
	snprintf(path, sizeof(path), "%s/sent", folder);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(out, 1, size, f), size);
	fclose(f);
	free(out);
}

/* Runs a line of shell in the folder; -> whether it succeeds. */
static bool shell(const char *line)
{
	char command[512];

	snprintf(command, sizeof(command), "cd %s && { %s; }", folder, line);
	return system(command) == 0;
}

/* Every frame of sound at its time, by one decoder and, of all links, by another; and the same
 * length and bars. */
static void check_sounds_the_same(const char *name)
{
	struct voice before = measure(name), after;
	char line[384];

	strip(name);
	after = measure("sent");
	assert_int_equal(after.duration_ms, before.duration_ms);
	assert_memory_equal(after.bars, before.bars, VOICE_BARS);
	snprintf(line, sizeof(line),
		 "frames() { ffmpeg -nostdin -v quiet -i $1 -map 0:a -f framemd5 - | grep -v '^#'; "
		 "opusdec --quiet --no-dither $1 - 2>/dev/null | md5sum; }; frames %s > a; frames "
		 "sent > b; test -s a && cmp a b",
		 name);
	if (!shell(line))
		fail_msg("%s does not sound the same", name);
}

static void what_is_heard_stays_the_same(void **state)
{
	(void)state;
	check_sounds_the_same("shape.opus");
	check_sounds_the_same("by-ffmpeg.ogg");
	check_sounds_the_same("surround.opus");
	check_sounds_the_same("tiny.opus");
	check_sounds_the_same("pictured.opus");
	check_sounds_the_same("chained-tags.opus");
}

/* As others read it: nothing is wrong with it, and nobody is named. */
static void check_says_nothing(const char *name)
{
	strip(name);
	if (!shell("LC_ALL=C; ! grep -qaiE 'planted|title|someone|encoder|lib|METADATA|PNG' sent"))
		fail_msg("%s tells", name);
	assert_true(shell("opusinfo sent > info 2>&1; ! grep -iE 'warn|error|hole|=' info"));
}

static void comments_and_pictures_are_gone(void **state)
{
	(void)state;
	check_says_nothing("shape.opus");
	check_says_nothing("by-ffmpeg.ogg");
	check_says_nothing("tagged.opus");
	check_says_nothing("pictured.opus");
	check_says_nothing("chained-tags.opus");
}

static void what_is_beside_the_sound_stays_behind(void **state)
{
	uint64_t before = measure("beside.ogg").duration_ms;

	(void)state;
	check_says_nothing("beside.ogg");
	assert_int_equal(measure("sent").duration_ms, before);
	assert_true(shell("ffprobe -v error -show_entries stream=codec_name -of csv=p=0 sent > a; "
			  "echo opus | cmp - a"));
}

static void there_is_nothing_to_take_out_twice(void **state)
{
	(void)state;
	strip("pictured.opus");
	assert_true(shell("cp sent once"));
	strip("once");
	assert_true(shell("cmp once sent"));
}

static void check_not_stripped(struct bytes in, const char *because)
{
	struct err e = { ERR_OK, "" };
	uint8_t *out;
	size_t size;

	assert_int_equal(voice_strip(in, &out, &size, &e), ERR_INVALID);
	if (strstr(e.why, because) == NULL)
		fail_msg("%s", e.why);
}

/* A page whose sum is wrong must not get a right one. */
static void what_is_broken_is_not_mended(void **state)
{
	struct bytes note = load("pictured.opus");

	(void)state;
	assert_true(note.len > 60000);
	for (size_t n = 997; n < 60000; n += 997) /* within the headers */
		check_not_stripped((struct bytes){ note.data, n }, "the recording ");
	check_not_stripped(load("changed.opus"), "damaged: wrong sum of the page");
	check_not_stripped(load("cut.opus"), "cut short");
	check_not_stripped(load("trailing.opus"), "damaged: no Ogg page");
	check_not_stripped(load("empty.opus"), "empty");
	check_not_stripped(load("vorbis.ogg"), "this is Vorbis in Ogg");
	check_not_stripped(load("shape.wav"), "this is WAV");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_note_is_as_long_as_what_was_recorded),
		cmocka_unit_test(a_chain_is_as_long_as_its_links),
		cmocka_unit_test(fewer_samples_than_bars_are_a_note_too),
		cmocka_unit_test(bars_have_the_shape_of_the_sound),
		cmocka_unit_test(steady_sound_has_steady_bars),
		cmocka_unit_test(silence_has_no_bars),
		cmocka_unit_test(tags_and_covers_change_nothing),
		cmocka_unit_test(damaged_notes_are_refused),
		cmocka_unit_test(other_sound_is_named_and_how_to_convert_it),
		cmocka_unit_test(a_day_is_the_most),
		cmocka_unit_test(what_is_heard_stays_the_same),
		cmocka_unit_test(comments_and_pictures_are_gone),
		cmocka_unit_test(what_is_beside_the_sound_stays_behind),
		cmocka_unit_test(there_is_nothing_to_take_out_twice),
		cmocka_unit_test(what_is_broken_is_not_mended),
	};

	return cmocka_run_group_tests(tests, make_media, remove_media);
}
