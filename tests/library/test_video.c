/* Videos, made by ffmpeg: what is told of them, and that the file which is written for sending
 * shows the same, can be sought in from the first bytes on, and has nothing in it that was planted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/library/moving.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static void check_refused(const char *name, const char *because)
{
	struct err e = { ERR_OK, "" };
	struct video v;

	assert_int_equal(prepare(&v, name, &e), ERR_INVALID);
	if (strstr(e.why, because) == NULL)
		fail_msg("%s: %s", name, e.why);
}

static void check_told(const char *name, uint32_t width, uint32_t height, uint64_t ms,
		       const char *type)
{
	struct video v = prepared(name);

	assert_int_equal(v.width, width);
	assert_int_equal(v.height, height);
	assert_in_range(v.duration_ms, ms - 25, ms + 25);
	assert_string_equal(v.type, type);
	video_fini(&v);
}

/* ---- what is told ---- */

/* The same length as a player reads from the file that is sent. */
static void check_length(const char *name)
{
	struct video v = prepared(name);
	char line[256];

	snprintf(line, sizeof(line),
		 "ffprobe -v error -show_entries format=duration -of csv=p=0 sent | "
		 "awk '{ d = $1 * 1000 - %u; exit d < -5 || d > 5 }'",
		 (unsigned)v.duration_ms);
	video_fini(&v);
	if (!shell(line))
		fail_msg("%s: not of %u ms", name, (unsigned)v.duration_ms);
}

static void a_player_reads_the_same_length(void **state)
{
	(void)state;
	check_length("plain.mp4");
	check_length("fragments.mp4");
	check_length("edited.mp4");
	check_length("late.mp4");
	check_length("live.webm");
	check_length("rich.mkv");
}

static void size_length_and_type_are_told(void **state)
{
	(void)state;
	check_told("plain.mp4", 160, 90, 2000, "video/mp4");
	check_told("fragments.mp4", 160, 90, 2100, "video/mp4");
	check_told("plain.mov", 160, 90, 2000, "video/quicktime");
	check_told("plain.webm", 160, 90, 2040, "video/webm");
	check_told("rich.mkv", 160, 90, 2040, "video/x-matroska");
	check_told("old.3gp", 256, 144, 2000, "video/3gpp");
	check_told("old.3g2", 256, 144, 2000, "video/3gpp2");
}

static void edits_count(void **state)
{
	(void)state;
	check_told("edited.mp4", 160, 90, 1300, "video/mp4");
	check_told("late.mp4", 160, 90, 2500, "video/mp4");
}

static void size_is_as_displayed(void **state)
{
	(void)state;
	check_told("turned.mp4", 90, 160, 400, "video/mp4");
	check_told("upended.mp4", 160, 90, 400, "video/mp4");
	check_told("wide-pixels.mp4", 213, 90, 400, "video/mp4");
}

/* A recording of a browser says nothing of its length, and cannot be sought in. */
static void live_recordings_get_a_length(void **state)
{
	(void)state;
	check_told("live.webm", 160, 90, 2040, "video/webm");
	assert_true(shell("ffprobe -v error -show_entries format=duration -of csv=p=0 live.webm | "
			  "grep -q N/A"));
	assert_true(shell("ffprobe -v error -show_entries format=duration -of csv=p=0 sent | "
			  "grep -q '^2.0'"));
}

/* ---- the poster ---- */

static const uint8_t red[3] = { 255, 0, 0 }, lime[3] = { 0, 255, 0 }, blue[3] = { 0, 0, 255 },
		     white[3] = { 255, 255, 255 };

static void check_colour(const struct video *v, uint32_t x, uint32_t y, const uint8_t want[3])
{
	const uint8_t *pixel = v->frame + ((size_t)y * v->frame_width + x) * 3;

	for (size_t i = 0; i < 3; i++)
		assert_in_range(pixel[i], want[i] > 40 ? want[i] - 40 : 0,
				want[i] < 215 ? want[i] + 40 : 255);
}

/* Of the middles of the four quarters, from the upper left one on, row by row. */
static void check_poster(const char *name, uint32_t width, uint32_t height,
			 const uint8_t *const quarters[4])
{
	struct video v = prepared(name);

	assert_non_null(v.frame);
	assert_int_equal(v.frame_width, width);
	assert_int_equal(v.frame_height, height);
	for (uint32_t i = 0; i < 4; i++)
		check_colour(&v, width / 4 + i % 2 * width / 2, height / 4 + i / 2 * height / 2,
			     quarters[i]);
	video_fini(&v);
}

static void the_poster_is_upright(void **state)
{
	(void)state;
	check_poster("upright.mp4", 160, 90, (const uint8_t *const[]){ red, lime, blue, white });
	check_poster("upended.mp4", 160, 90, (const uint8_t *const[]){ white, blue, lime, red });
	check_poster("turned.mp4", 90, 160, (const uint8_t *const[]){ lime, white, red, blue });
	check_poster("wide-pixels.mp4", 213, 90,
		     (const uint8_t *const[]){ red, lime, blue, white });
}

static void a_large_picture_has_a_small_poster(void **state)
{
	(void)state;
	check_poster("large.mov", 256, 144, (const uint8_t *const[]){ red, red, red, red });
}

/* ---- what is sent ---- */

/* The pictures and the sound, with their times: of both files the same. */
static void check_same_frames(const char *name)
{
	struct video v = prepared(name);
	char line[512];

	video_fini(&v);
	snprintf(line, sizeof(line),
		 "frames() { ffmpeg -nostdin -v error -i $1 -map 0:v:0 -map '0:a?' -f framemd5 - | "
		 "grep -v '^#software'; }; frames %s > a & frames sent > b; wait; test -s a && cmp "
		 "a b",
		 name);
	if (!shell(line))
		fail_msg("%s does not show the same", name);
}

static void what_is_seen_and_heard_stays_the_same(void **state)
{
	(void)state;
	check_same_frames("plain.mp4");
	check_same_frames("edited.mp4");
	check_same_frames("late.mp4");
	check_same_frames("turned.mp4");
	check_same_frames("rich.mkv");
}

static void sound_and_pictures_of_webm_stay_together(void **state)
{
	(void)state;
	check_same_frames("plain.webm");
	check_same_frames("live.webm");
}

/* Writes the types of the boxes at the top, four letters each. */
static void boxes_of(const uint8_t *p, size_t size, char *out, size_t cap)
{
	size_t n = 0;

	for (size_t at = 0; at + 8 <= size && n + 5 <= cap; n += 4) {
		memcpy(out + n, p + at + 4, 4);
		at += bytes_get_u32(p + at) >= 8 ? bytes_get_u32(p + at) : size - at;
	}
	out[n] = '\0';
}

static void check_index_first(const char *name)
{
	struct video v = prepared(name);
	char boxes[64];
	size_t size;
	uint8_t *p = map_sent(&size);

	boxes_of(p, size, boxes, sizeof(boxes));
	if (strcmp(boxes, "ftypmoovfreemdat") != 0 && strcmp(boxes, "ftypmoovwidemdat") != 0)
		fail_msg("%s: %s", name, boxes);
	munmap(p, size);
	video_fini(&v);
}

static void the_index_comes_first(void **state)
{
	(void)state;
	check_index_first("plain.mp4");
	check_index_first("plain.mov");
	check_index_first("fragments.mp4");
}

static void matroska_has_its_index_first_too(void **state)
{
	static const uint8_t cues[4] = { 0x1c, 0x53, 0xbb, 0x6b },
			     cluster[4] = { 0x1f, 0x43, 0xb6, 0x75 };
	struct video v = prepared("live.webm");
	size_t size;
	uint8_t *p = map_sent(&size), *first;

	(void)state;
	first = memmem(p, size, cluster, sizeof(cluster));
	assert_non_null(first);
	/* one mention in the table of contents, one itself */
	assert_non_null(memmem(p, (size_t)(first - p), cues, sizeof(cues)));
	assert_int_equal(memcmp(first, cluster, 4), 0);
	munmap(p, size);
	video_fini(&v);
}

static void check_nothing_planted(const char *name)
{
	struct video v = prepared(name);
	char line[128];

	video_fini(&v);
	snprintf(line, sizeof(line), "grep -q PLANTED %s", name);
	assert_true(shell(line));
	assert_false(sent_holds("PLANTED"));
	assert_false(sent_holds("Lavf5"));
	assert_false(sent_holds("\x89PNG"));
	assert_false(sent_holds("tmcd"));
}

/* 2020-01-02T03:04:05Z, in seconds since 1904. */
static void the_hour_of_the_recording_is_gone(void **state)
{
	struct video v = prepared("plain.mp4");

	(void)state;
	video_fini(&v);
	assert_true(shell("LC_ALL=C grep -qaP '\\xda\\x33\\x0e\\x25' plain.mp4"));
	assert_false(sent_holds("\xda\x33\x0e\x25"));
}

static void nothing_is_told_of_place_or_maker(void **state)
{
	(void)state;
	check_nothing_planted("plain.mp4");
	check_nothing_planted("plain.mov");
	check_nothing_planted("rich.mp4");
	check_nothing_planted("rich.mkv");
	check_nothing_planted("plain.webm");
}

/* Vorbis and Theora have comments among what sets up their decoders. */
static void comments_of_a_codec_are_gone_and_it_still_plays(void **state)
{
	(void)state;
	check_nothing_planted("theora.mkv");
	check_nothing_planted("vorbis.mp4");
	check_nothing_planted("vorbis.webm");
	check_same_frames("theora.mkv");
	check_same_frames("vorbis.mp4");
	check_same_frames("vorbis.webm");
}

static void subtitles_stay_but_not_a_drones_log(void **state)
{
	struct video v = prepared("rich.mp4");

	(void)state;
	video_fini(&v);
	assert_true(sent_holds("said"));
	assert_true(shell("ffprobe -v error -show_entries stream=codec_type -of csv=p=0 sent > a; "
			  "printf 'video\\naudio\\nsubtitle\\n' | cmp - a"));
	v = prepared("rich.mkv");
	video_fini(&v);
	assert_true(sent_holds("said"));
}

static void the_same_video_becomes_the_same_bytes(void **state)
{
	struct video v = prepared("plain.mp4");

	(void)state;
	video_fini(&v);
	assert_true(shell("mv sent once"));
	v = prepared("once");
	video_fini(&v);
	assert_true(shell("cmp once sent"));
}

static void what_mp4_cannot_hold_goes_into_quicktime(void **state)
{
	(void)state;
	check_told("pcm.mp4", 160, 90, 400, "video/quicktime");
	check_same_frames("pcm.mp4");
}

/* ---- what is refused ---- */

static void what_is_no_video_is_refused(void **state)
{
	(void)state;
	check_refused("sound.mp4", "no picture");
	check_refused("words.mp4", "no MP4, QuickTime");
	check_refused("empty.mp4", "no MP4, QuickTime");
	check_refused("photo.avif", "this is a photo");
	check_refused("old.avi", "ffmpeg -i FILE VIDEO.mp4");
}

static void what_is_not_whole_is_refused(void **state)
{
	(void)state;
	check_refused("unfinished.mp4", "cut short");
	check_refused("cut.mp4", "cut short");
	check_refused("cut.mkv", "cut short");
}

static void a_codec_whose_comments_are_not_found_is_refused(void **state)
{
	(void)state;
	check_refused("muddled.webm", "makes no sense to the writer");
}

static void times_that_cannot_be_calculated_with_are_refused(void **state)
{
	(void)state;
	check_refused("far.mp4", "damaged");
	check_refused("future.mp4", "makes no sense to the writer");
}

/* Overwrites 32-bit words of the first box of a type in FOLDER/sent, from a byte behind the type.
 */
static void patch(const char *type, size_t behind, const uint32_t *words, size_t count)
{
	int fd = open_media("sent", O_RDWR);
	uint8_t buf[4096], *box;

	assert_true(pread(fd, buf, sizeof(buf), 0) == (ssize_t)sizeof(buf));
	box = memmem(buf, sizeof(buf), type, 4);
	assert_non_null(box);
	for (size_t i = 0; i < count; i++)
		bytes_put_u32(box + 4 + behind + 4 * i, words[i]);
	assert_true(pwrite(fd, buf, sizeof(buf), 0) == (ssize_t)sizeof(buf));
	close(fd);
}

/* 50 samples of half the file each, all at the same place. */
static void a_small_file_does_not_become_a_huge_one(void **state)
{
	struct video v = prepared("upright.mp4");
	struct stat st;
	struct err e = { ERR_OK, "" };
	uint32_t sizes[2], chunk[1] = { 48 };
	int in, out;

	(void)state;
	video_fini(&v);
	assert_true(shell("head -c 1000000 /dev/zero >> sent; stat -c %s sent >/dev/null"));
	/* the last box ends where the file ends, now */
	in = open_media("sent", O_RDONLY);
	assert_int_equal(fstat(in, &st), 0);
	sizes[0] = (uint32_t)st.st_size / 2;
	sizes[1] = 10;
	patch("stsz", 4, sizes, 2);
	patch("stco", 8, chunk, 1);
	out = open_media("out", O_RDWR | O_CREAT | O_TRUNC);
	assert_int_equal(video_prepare(&v, in, out, &e), ERR_INVALID);
	assert_int_equal(fstat(out, &st), 0);
	assert_true(st.st_size < 10 << 20);
	close(in);
	close(out);
}

static void what_cannot_be_written_is_said(void **state)
{
	struct err e = { ERR_OK, "" };
	struct video v;
	int in, out;

	(void)state;
	if (!have_tools())
		skip();
	in = open_media("plain.mp4", O_RDONLY);
	out = open_media("plain.mov", O_RDONLY);
	assert_int_equal(video_prepare(&v, in, out, &e), ERR_IO);
	assert_non_null(strstr(e.why, "Bad file descriptor"));
	close(in);
	close(out);
}

static void without_the_libraries_it_is_said(void **state)
{
	struct err e = { ERR_OK, "" };
	struct video v;

	(void)state;
	assert_int_equal(video_prepare(&v, -1, -1, &e), ERR_FORMAT);
	assert_non_null(strstr(e.why, "without ffmpeg's libraries"));
}

/* ---- memory ---- */

static long child_peak_kb(const char *name)
{
	struct rusage usage;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct video v;

		_exit(prepare(&v, name, NULL) == ERR_OK ? 0 : 1);
	}
	assert_int_equal(wait4(pid, &status, 0, &usage), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return usage.ru_maxrss;
}

static void memory_does_not_grow_with_the_file(void **state)
{
	(void)state;
	if (!have_tools() || SANITIZED)
		skip();
	assert_true(child_peak_kb("large.mov") < 48 * 1024);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(size_length_and_type_are_told),
		cmocka_unit_test(edits_count),
		cmocka_unit_test(a_player_reads_the_same_length),
		cmocka_unit_test(size_is_as_displayed),
		cmocka_unit_test(live_recordings_get_a_length),
		cmocka_unit_test(the_poster_is_upright),
		cmocka_unit_test(a_large_picture_has_a_small_poster),
		cmocka_unit_test(what_is_seen_and_heard_stays_the_same),
		cmocka_unit_test(sound_and_pictures_of_webm_stay_together),
		cmocka_unit_test(the_index_comes_first),
		cmocka_unit_test(matroska_has_its_index_first_too),
		cmocka_unit_test(the_hour_of_the_recording_is_gone),
		cmocka_unit_test(nothing_is_told_of_place_or_maker),
		cmocka_unit_test(comments_of_a_codec_are_gone_and_it_still_plays),
		cmocka_unit_test(subtitles_stay_but_not_a_drones_log),
		cmocka_unit_test(the_same_video_becomes_the_same_bytes),
		cmocka_unit_test(what_mp4_cannot_hold_goes_into_quicktime),
		cmocka_unit_test(what_is_no_video_is_refused),
		cmocka_unit_test(what_is_not_whole_is_refused),
		cmocka_unit_test(a_codec_whose_comments_are_not_found_is_refused),
		cmocka_unit_test(times_that_cannot_be_calculated_with_are_refused),
		cmocka_unit_test(a_small_file_does_not_become_a_huge_one),
		cmocka_unit_test(what_cannot_be_written_is_said),
		cmocka_unit_test(memory_does_not_grow_with_the_file),
	};
	const struct CMUnitTest without[] = {
		cmocka_unit_test(without_the_libraries_it_is_said),
	};

	if (!video_supported() && cmocka_run_group_tests(without, NULL, NULL) != 0)
		return 1;
	return cmocka_run_group_tests(tests, make_media, remove_media);
}
