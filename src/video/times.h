/* times - times in a video, in the units of its streams: of a hostile one they are any number, and
 * what is calculated with them must fit. */
#ifndef RESTANTE_VIDEO_TIMES_H
#define RESTANTE_VIDEO_TIMES_H

#include <libavutil/avutil.h>
#include <libavutil/mathematics.h>
#include <stdbool.h>
#include <stdint.h>

/* Whether it is small enough, in whatever unit, that sums of a few of them fit. */
static inline bool time_fits(int64_t t)
{
	return t > -(INT64_C(1) << 60) && t < INT64_C(1) << 60;
}

/* Whether it is a time, or AV_NOPTS_VALUE. */
static inline bool time_is(int64_t t)
{
	return t == AV_NOPTS_VALUE || time_fits(t);
}

/* Converts a time to another unit. -> false if it does not fit: the library then gives what is the
 * same as AV_NOPTS_VALUE. That itself is left as it is. */
static inline bool time_convert(int64_t *t, AVRational from, AVRational to)
{
	if (*t == AV_NOPTS_VALUE)
		return true;
	*t = av_rescale_q(*t, from, to);
	return time_fits(*t);
}

#endif
