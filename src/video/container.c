#include "video/container.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"

static const struct container matroska = { "video/x-matroska", "matroska", "matroska", NULL };
static const struct container webm = { "video/webm", "matroska", "webm", &matroska };
static const struct container quicktime = { "video/quicktime", "mov", "mov", NULL };
static const struct container mp4 = { "video/mp4", "mov", "mp4", &quicktime };
static const struct container tgp = { "video/3gpp", "mov", "3gp", &mp4 };
static const struct container tgp2 = { "video/3gpp2", "mov", "3g2", &mp4 }; /* RFC 4393 */

/* More boxes at the top of a file than any camera writes, and few enough to look at each. */
#define BOXES_MAX 1000000

struct file {
	int fd;
	uint64_t size;
};

/* Reads what there is of n bytes at an offset; the rest is zeroes. */
static enum err_code read_some(const struct file *f, uint64_t at, uint8_t *out, size_t n,
			       struct err *e)
{
	ssize_t got;

	memset(out, 0, n);
	do
		got = at < f->size ? pread(f->fd, out, n, (off_t)at) : 0;
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return err_set(e, ERR_IO, "reading the video: %s", strerror(errno));
	return ERR_OK;
}

static enum err_code cut_short(struct err *e)
{
	return err_set(e, ERR_INVALID, "the video was cut short: its end is missing");
}

/* ---- boxes: MP4, QuickTime, 3GP (ISO/IEC 14496-12 section 4.2) ---- */

static uint32_t tag(const char *text)
{
	return bytes_get_u32((const uint8_t *)text);
}

struct box {
	uint32_t type, brand; /* brand: of a file type box */
	uint64_t size;        /* with the header; to the end of the file if it is the last */
};

static enum err_code box_at(struct box *b, const struct file *f, uint64_t at, struct err *e)
{
	uint8_t head[16];
	enum err_code rc = read_some(f, at, head, sizeof(head), e);

	if (rc != ERR_OK)
		return rc;
	b->size = bytes_get_u32(head);
	b->type = bytes_get_u32(head + 4);
	b->brand = bytes_get_u32(head + 8);
	if (b->size == 1)
		b->size = bytes_get_u64(head + 8);
	else if (b->size == 0)
		b->size = f->size - at;
	return ERR_OK;
}

static bool begins_a_file(uint32_t type)
{
	static const char types[][5] = { "ftyp", "moov", "mdat", "wide", "free", "skip", "pnot" };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (type == tag(types[i]))
			return true;
	return false;
}

static const struct container *by_brand(uint32_t brand)
{
	if (brand == tag("qt  "))
		return &quicktime;
	if (brand >> 8 == tag("3g2 ") >> 8)
		return &tgp2;
	return brand >> 8 == tag("3gp ") >> 8 ? &tgp : &mp4;
}

static bool is_photo(uint32_t brand)
{
	return brand == tag("heic") || brand == tag("heix") || brand == tag("mif1") ||
	       brand == tag("avif");
}

static enum err_code no_index(uint32_t brand, struct err *e)
{
	if (is_photo(brand))
		return err_set(e, ERR_INVALID, "this is a photo, not a video");
	return err_set(e, ERR_INVALID,
		       "the video has no index (moov): its recording was never finished");
}

/* Looks at the boxes of the file, one after the other: there is an index, and nothing that matters
 * ends behind the end. What else may be wrong is for the library to find. */
static enum err_code check_boxes(const struct container **out, const struct file *f, struct err *e)
{
	uint32_t brand = 0;
	bool indexed = false;
	uint64_t at = 0;
	struct box b;

	for (unsigned n = 0; at < f->size && n < BOXES_MAX; n++, at += b.size) {
		enum err_code rc = box_at(&b, f, at, e);
		bool matters;

		if (rc != ERR_OK)
			return rc;
		if (b.size < 8)
			break;
		if (n == 0 && b.type == tag("ftyp"))
			brand = b.brand;
		indexed = indexed || b.type == tag("moov");
		matters = b.type == tag("moov") || b.type == tag("moof") || b.type == tag("mdat");
		if (b.size > f->size - at && matters)
			return cut_short(e);
		if (b.size > f->size - at)
			break;
	}
	if (!indexed)
		return no_index(brand, e);
	*out = brand != 0 ? by_brand(brand) : &quicktime; /* old ones do not say */
	return ERR_OK;
}

/* ---- elements: Matroska, WebM (RFC 8794) ---- */

#define EBML 0x1a45dfa3
#define EBML_HEAD_MAX 4096
#define DOCTYPE 0x4282
#define SEGMENT 0x18538067
#define UNKNOWN_SIZE UINT64_MAX

/* Reads a number of variable size at *at and moves on. -> false if there is none. */
static bool ebml_number(struct bytes in, size_t *at, bool keep_marker, uint64_t *out)
{
	uint64_t v, ones;
	size_t n = 1;

	if (*at >= in.len || in.data[*at] == 0)
		return false;
	while ((in.data[*at] << (n - 1) & 0x80) == 0)
		n++;
	if (n > in.len - *at)
		return false;
	v = keep_marker ? in.data[*at] : in.data[*at] & (0xffu >> n);
	for (size_t i = 1; i < n; i++)
		v = v << 8 | in.data[*at + i];
	ones = (UINT64_C(1) << (7 * n)) - 1;
	*out = !keep_marker && v == ones ? UNKNOWN_SIZE : v;
	*at += n;
	return true;
}

/* Reads an element's head at *at and moves behind it. */
static bool element(struct bytes in, size_t *at, uint64_t *id, uint64_t *size)
{
	return ebml_number(in, at, true, id) && ebml_number(in, at, false, size);
}

static bool says_webm(struct bytes head)
{
	size_t at = 0;
	uint64_t id, size;

	while (element(head, &at, &id, &size) && size <= head.len - at) {
		if (id == DOCTYPE)
			return size >= 4 && memcmp(head.data + at, "webm", 4) == 0;
		at += (size_t)size;
	}
	return false;
}

static enum err_code check_elements(const struct container **out, const struct file *f,
				    struct err *e)
{
	uint8_t buf[EBML_HEAD_MAX + 32];
	struct bytes head = { buf, sizeof(buf) };
	enum err_code rc = read_some(f, 0, buf, sizeof(buf), e);
	uint64_t id, size;
	size_t at = 0, body;

	if (rc != ERR_OK)
		return rc;
	if (!element(head, &at, &id, &size) || id != EBML || size > EBML_HEAD_MAX)
		return err_set(e, ERR_INVALID,
			       "the video is damaged: its beginning makes no sense");
	body = at;
	at += (size_t)size;
	*out = says_webm((struct bytes){ buf + body, (size_t)size }) ? &webm : &matroska;
	/* a live recording does not know its size */
	if (element(head, &at, &id, &size) && id == SEGMENT && size != UNKNOWN_SIZE &&
	    (at > f->size || size > f->size - at))
		return cut_short(e);
	return ERR_OK;
}

/* ---- */

enum err_code container_of(const struct container **out, int fd, struct err *e)
{
	struct file f = { .fd = fd };
	uint8_t head[8];
	enum err_code rc;
	struct stat st;

	if (fstat(fd, &st) != 0)
		return err_set(e, ERR_IO, "reading the video: %s", strerror(errno));
	f.size = (uint64_t)st.st_size;
	rc = read_some(&f, 0, head, sizeof(head), e);
	if (rc != ERR_OK)
		return rc;
	if (bytes_get_u32(head) == EBML)
		return check_elements(out, &f, e);
	if (begins_a_file(bytes_get_u32(head + 4)))
		return check_boxes(out, &f, e);
	return err_set(e, ERR_INVALID,
		       "this is no MP4, QuickTime, 3GP, WebM or Matroska video: convert it "
		       "(ffmpeg -i FILE VIDEO.mp4), or send it with --kind file");
}
