#include "voice/foreign.h"

#include <string.h>

/* opusenc of opus-tools reads what is not compressed, ffmpeg the rest. */
#define OPUSENC "opusenc --bitrate 24 FILE NOTE.opus"
#define FFMPEG "ffmpeg -i FILE -c:a libopus -b:a 24k NOTE.opus"

/* The first packet of an Ogg stream begins behind the page's header and the one length in it. */
#define OGG 28

static const struct {
	const char *name;
	size_t at;
	struct bytes magic;
	const char *convert;
} formats[] = {
	{ "Vorbis in Ogg", OGG, BYTES("\x01vorbis"), FFMPEG },
	{ "Speex in Ogg", OGG, BYTES("Speex   "), FFMPEG },
	{ "FLAC in Ogg", OGG,
	  BYTES("\x7f"
		"FLAC"),
	  OPUSENC },
	{ "Theora in Ogg", OGG, BYTES("\x80theora"), FFMPEG },
	{ "FLAC", 0, BYTES("fLaC"), OPUSENC },
	{ "WAV", 8, BYTES("WAVE"), OPUSENC },
	{ "AIFF", 8, BYTES("AIF"), OPUSENC },
	{ "MP3", 0, BYTES("ID3"), FFMPEG },
	{ "MP3", 0, BYTES("\xff\xfb"), FFMPEG },
	{ "MP3", 0, BYTES("\xff\xfa"), FFMPEG },
	{ "MP3", 0, BYTES("\xff\xf3"), FFMPEG },
	{ "AAC", 0, BYTES("\xff\xf1"), FFMPEG },
	{ "AAC", 0, BYTES("\xff\xf9"), FFMPEG },
	{ "AMR", 0, BYTES("#!AMR"), FFMPEG },
	{ "MP4 (M4A)", 4, BYTES("ftyp"), FFMPEG },
	{ "WebM or Matroska", 0, BYTES("\x1a\x45\xdf\xa3"), FFMPEG },
	{ "CAF", 0, BYTES("caff"), FFMPEG },
};
#define FORMATS (sizeof(formats) / sizeof(formats[0]))

static int has(struct bytes in, size_t at, struct bytes magic)
{
	return in.len >= at + magic.len && memcmp(in.data + at, magic.data, magic.len) == 0;
}

enum err_code foreign_refuse(struct bytes in, struct err *e)
{
	if (in.len == 0)
		return err_set(e, ERR_INVALID, "the recording is empty");
	for (size_t i = 0; i < FORMATS; i++)
		if (has(in, formats[i].at, formats[i].magic))
			return err_set(e, ERR_INVALID,
				       "this is %s; a voice note is Opus in Ogg. Convert it: %s",
				       formats[i].name, formats[i].convert);
	return err_set(e, ERR_INVALID, "this is no Opus in Ogg. If it is sound, convert it: %s",
		       FFMPEG);
}
