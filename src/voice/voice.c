#include "voice/voice.h"

#include <math.h>
#include <opus_multistream.h>
#include <opusfile.h>
#include <stdbool.h>
#include <string.h>

#include "voice/foreign.h"
#include "voice/page.h"

/* Opus is decoded at this rate, whatever was recorded (RFC 7845 section 4). */
#define RATE 48000
#define SAMPLES_A_MS (RATE / 1000)
#define SAMPLES_MAX (UINT64_C(24) * 3600 * RATE)
/* The longest packet has 120 ms. */
#define PACKET_SAMPLES 5760

/* What never gets louder than this (of 1, -72 dB) is silence, not a signal to be blown up. */
#define SILENCE (1.0 / 4096)

/* Whether pages follow each other to the very end. A missing end-of-stream flag is not asked for:
 * recorders that were stopped in a hurry leave such files, and they play. */
static enum err_code check_pages(struct bytes in, struct err *e)
{
	enum err_code rc = ERR_OK;
	struct bytes page = { NULL, 0 };

	for (size_t at = 0; at < in.len && rc == ERR_OK; at += page.len)
		rc = page_at(in, at, &page, e);
	return rc;
}

/* ---- loudness ---- */

/* Energy by bars: sample p of total belongs to bar p * 64 / total. */
struct loudness {
	uint64_t total;
	double energy[VOICE_BARS];
	uint64_t count[VOICE_BARS];
};

/* The first sample of bar b. */
static uint64_t bar_start(const struct loudness *l, uint64_t b)
{
	return (b * l->total + VOICE_BARS - 1) / VOICE_BARS;
}

/* As a player would clip it; what is no number counts as the loudest. */
static double clipped(float x)
{
	return x < 1 ? (x > -1 ? (double)x : -1) : 1;
}

static double energy_of(const float *pcm, uint64_t samples)
{
	double sum = 0;

	for (uint64_t i = 0; i < 2 * samples; i++)
		sum += clipped(pcm[i]) * clipped(pcm[i]);
	return sum / 2;
}

/* Adds stereo samples that begin at sample `at`. What times in the file misplace behind the end
 * goes to the last bar. */
static void loudness_add(struct loudness *l, uint64_t at, const float *pcm, uint64_t samples)
{
	while (samples > 0) {
		uint64_t b = at < l->total ? at * VOICE_BARS / l->total : VOICE_BARS - 1;
		uint64_t room = at < l->total ? bar_start(l, b + 1) - at : samples;
		uint64_t n = samples < room ? samples : room;

		l->energy[b] += energy_of(pcm, n);
		l->count[b] += n;
		pcm += 2 * n;
		at += n;
		samples -= n;
	}
}

/* The loudness (root mean square) of each bar, in hundredths of the loudest. A bar without samples,
 * as recordings of fewer than 64 have, is as loud as the one before. */
static void loudness_bars(const struct loudness *l, uint8_t bars[static VOICE_BARS])
{
	double rms[VOICE_BARS] = { 0 }, loudest = 0;

	for (size_t b = 0; b < VOICE_BARS; b++) {
		if (l->count[b] > 0)
			rms[b] = sqrt(l->energy[b] / (double)l->count[b]);
		else if (b > 0)
			rms[b] = rms[b - 1];
		if (rms[b] > loudest)
			loudest = rms[b];
	}
	for (size_t b = 0; b < VOICE_BARS; b++)
		bars[b] = loudest < SILENCE ? 0 : (uint8_t)lround(100 * rms[b] / loudest);
}

/* ---- decoding ---- */

/* The decoder inside libopusfile's, of one link of a chain. */
struct decoding {
	const OggOpusFile *file;
	OpusMSDecoder *outer;
	OpusDecoder *inner;
	int link;
};

/* Decodes a packet of mono or stereo as libopusfile would, by the same decoder. Only without the
 * layer for surround sound: that asks the processor for its features several times a packet
 * (libopus 1.3.1), and where the processor is a virtual one this is most of the time a decoding
 * takes. */
static int decode_packet(void *ctx, OpusMSDecoder *outer, void *pcm, const ogg_packet *packet,
			 int samples, int channels, int format, int link)
{
	struct decoding *d = ctx;
	int n;

	if (format != OP_DEC_FORMAT_FLOAT || op_head(d->file, link)->stream_count != 1)
		return OP_DEC_USE_DEFAULT;
	if (op_head(d->file, link)->mapping_family != 0 || channels > 2)
		return OP_DEC_USE_DEFAULT;
	if (d->outer != outer || d->link != link) {
		if (opus_multistream_decoder_ctl(
			    outer, OPUS_MULTISTREAM_GET_DECODER_STATE(0, &d->inner)) != OPUS_OK)
			return OP_DEC_USE_DEFAULT;
		d->outer = outer;
		d->link = link;
	}
	n = opus_decode_float(d->inner, packet->packet, (opus_int32)packet->bytes, pcm, samples, 0);
	if (n < 0)
		return n;
	return n == samples ? 0 : OPUS_INVALID_PACKET;
}

/* Reads all of it into l, whose total is set. */
static enum err_code decode(struct loudness *l, OggOpusFile *f, struct err *e)
{
	struct decoding d = { .file = f, .link = -1 };
	float pcm[2 * PACKET_SAMPLES];
	uint64_t done = 0;
	int n;

	op_set_decode_callback(f, decode_packet, &d);
	for (;;) {
		n = op_read_float_stereo(f, pcm, 2 * PACKET_SAMPLES);
		if (n == OP_EFAULT)
			return err_set(e, ERR_NOMEM, "decoding a recording");
		if (n < 0)
			return err_set(e, ERR_INVALID,
				       "the recording is damaged or misses a part, %u s in",
				       (unsigned)(op_pcm_tell(f) / RATE));
		if (n == 0)
			return ERR_OK;
		done += (uint64_t)n;
		if (done > SAMPLES_MAX)
			return err_set(e, ERR_TOOBIG, "the recording is longer than 24 hours");
		loudness_add(l, (uint64_t)op_pcm_tell(f) - (uint64_t)n, pcm, (uint64_t)n);
	}
}

/* ---- */

static enum err_code open_failed(struct bytes in, int why, struct err *e)
{
	switch (why) {
	case OP_ENOTFORMAT:
		return foreign_refuse(in, e);
	case OP_EFAULT:
		return err_set(e, ERR_NOMEM, "opening a recording");
	case OP_EIMPL:
	case OP_EVERSION:
		return err_set(e, ERR_INVALID, "the recording is a kind of Opus that is not known");
	default:
		return err_set(e, ERR_INVALID,
			       "the recording is damaged: its beginning or its "
			       "times make no sense");
	}
}

static enum err_code measure(struct voice *out, OggOpusFile *f, struct err *e)
{
	ogg_int64_t total = op_pcm_total(f, -1);
	struct loudness l = { .total = (uint64_t)total };
	enum err_code rc;

	if (total <= 0)
		return err_set(e, ERR_INVALID, "there is no sound in the recording");
	if (l.total > SAMPLES_MAX)
		return err_set(e, ERR_TOOBIG, "the recording is longer than 24 hours");
	rc = decode(&l, f, e);
	if (rc != ERR_OK)
		return rc;
	out->duration_ms = (l.total + SAMPLES_A_MS - 1) / SAMPLES_A_MS;
	loudness_bars(&l, out->bars);
	return ERR_OK;
}

enum err_code voice_measure(struct voice *out, struct bytes in, struct err *e)
{
	enum err_code rc;
	OggOpusFile *f;
	int why = 0;

	if (in.len < 4 || memcmp(in.data, "OggS", 4) != 0)
		return foreign_refuse(in, e);
	f = op_open_memory(in.data, in.len, &why);
	if (f == NULL && why == OP_ENOTFORMAT)
		return foreign_refuse(in, e);
	rc = check_pages(in, e);
	if (rc == ERR_OK)
		rc = f != NULL ? measure(out, f, e) : open_failed(in, why, e);
	op_free(f);
	return rc;
}
