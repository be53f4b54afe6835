/* xiph - the comments of Vorbis and Theora. In any container, what sets up their decoders is three
 * packets, and the second one of them has names, places, whatever somebody typed. */
#ifndef RESTANTE_VIDEO_XIPH_H
#define RESTANTE_VIDEO_XIPH_H

#include <libavcodec/avcodec.h>

/* Empties the comments of a codec that is Vorbis or Theora; others are left alone. 0, or
 * AVERROR_INVALIDDATA (there are no such packets), AVERROR(ENOMEM). */
int xiph_strip(AVCodecParameters *codec);

#endif
