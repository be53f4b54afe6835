/* jpeg - the segments that a JPEG file is made of (ITU-T T.81, annex B), without decoding any.
 *
 * As lenient as libjpeg: what lies between segments and is none is passed over. Any thread. */
#ifndef RESTANTE_PHOTO_JPEG_H
#define RESTANTE_PHOTO_JPEG_H

#include <stdbool.h>

#include "base/bytes.h"

enum jpeg_marker {
	JPEG_SOF0 = 0xc0, /* to 0xcf, but for the next three */
	JPEG_DHT = 0xc4,
	JPEG_JPG = 0xc8,
	JPEG_DAC = 0xcc,
	JPEG_SOF15 = 0xcf,
	JPEG_RST0 = 0xd0,
	JPEG_RST7 = 0xd7,
	JPEG_SOI = 0xd8,
	JPEG_EOI = 0xd9,
	JPEG_SOS = 0xda,
	JPEG_DQT = 0xdb,
	JPEG_DNL = 0xdc,
	JPEG_DRI = 0xdd,
	JPEG_APP0 = 0xe0,
	JPEG_APP14 = 0xee,
	JPEG_APP15 = 0xef,
	JPEG_COM = 0xfe,
};

struct jpeg_segment {
	uint8_t marker;
	struct bytes body;    /* behind the length; nothing of EOI */
	struct bytes entropy; /* of SOS: the scan's data, up to the next marker */
};

struct jpeg_walk {
	struct bytes in;
	size_t at;
};

/* Begins behind the SOI, which `in` must have. */
struct jpeg_walk jpeg_begin(struct bytes in);

/* The next segment; false behind EOI, and where the file is cut short. */
bool jpeg_next(struct jpeg_walk *w, struct jpeg_segment *s);

struct jpeg_facts {
	bool whole;     /* from the first segment to EOI */
	bool multiscan; /* held in memory as a whole while it is decoded */
	unsigned scans;
	uint64_t coefficients; /* bytes that libjpeg holds them in, if multiscan */
};

struct jpeg_facts jpeg_inspect(struct bytes in);

#endif
