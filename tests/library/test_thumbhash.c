/* ThumbHash, against hashes that the author's own program makes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "photo/thumbhash.h"

/* The hashes are rgbaToThumbHash(w, h, rgba) of the npm package thumbhash 0.1.1, of pictures that
 * are computed with integers alone:
 *
 *   rings = (x, y) => [(x*x + y*y) >> 4 & 255, x*y >> 3 & 255, (x ^ y) & 255, 255]
 *   glass = (x, y) => [200, x*5 & 255, (y*3 + x) & 255, (x*y >> 3) & 255]
 *   dice  = (x, y) => { n = x * 7919 + y * 104729 + 12345; n = n * 1103515245 % 2**31 (as BigInt);
 *                       return [n >> 8 & 255, n >> 12 & 255, n >> 16 & 255, 255] }
 *
 * Of a flat or a symmetric picture that program writes down the noise of its own arithmetic; there
 * is no use in having the same. */
static void rings(uint8_t px[4], uint32_t x, uint32_t y)
{
	px[0] = (uint8_t)((x * x + y * y) >> 4);
	px[1] = (uint8_t)(x * y >> 3);
	px[2] = (uint8_t)(x ^ y);
	px[3] = 255;
}

static void glass(uint8_t px[4], uint32_t x, uint32_t y)
{
	px[0] = 200;
	px[1] = (uint8_t)(x * 5);
	px[2] = (uint8_t)(y * 3 + x);
	px[3] = (uint8_t)(x * y >> 3);
}

static void dice(uint8_t px[4], uint32_t x, uint32_t y)
{
	uint64_t n = (uint64_t)x * 7919 + (uint64_t)y * 104729 + 12345;

	n = n * 1103515245 % ((uint64_t)1 << 31);
	px[0] = (uint8_t)(n >> 8);
	px[1] = (uint8_t)(n >> 12);
	px[2] = (uint8_t)(n >> 16);
	px[3] = 255;
}

static const struct {
	void (*paint)(uint8_t px[4], uint32_t x, uint32_t y);
	uint32_t width, height;
	const char *hash;
} vectors[] = {
	{ rings, 100, 75, "97190a2584406568428699848779a8860873e3f9b5" },
	{ rings, 75, 100, "97190a25044267408848765a889689693378f0eb95" },
	{ rings, 64, 64, "133a0a2f0a508777209987955a7959889787070556ca0a0c" },
	{ rings, 100, 9, "4e880a198a50975886878788089318b086" },
	{ rings, 17, 100, "90580e190a8580588787896880a5e05804" },
	{ rings, 31, 20, "0518061582908787838887887778878890c008cda2" },
	{ glass, 100, 75, "a878860c821697905689b4c716ecff1f650a42058529a89405" },
	{ glass, 75, 100, "e5a8861c061618a88708989a8954f9f7770842058529a89405" },
	{ glass, 64, 64, "689882150615166fa2797a9886285f827f973086709aa36889" },
	{ glass, 100, 9, "a36a82018011d3c0a7b5787f3ab570868187b088787788" },
	{ glass, 17, 100, "1f1883110213968817fb349696ff71848087b087887788" },
	{ glass, 31, 20, "deca82038001e097c5857ac27ff171848087b088887888" },
	{ dice, 100, 75, "e0f7010d80a7638884328e86f67a8a77589f2a8d0d" },
	{ dice, 75, 100, "dff7010500988886708a93aec7978878998f985f6a" },
	{ dice, 64, 64, "dff701170009898608e8b8a79d9687869988878e7f9c9700" },
	{ dice, 100, 9, "1ff801198228fd7bf97897d4f6a8482b0d" },
	{ dice, 17, 100, "20080211008970588e8d2b88888ffb7997" },
	{ dice, 31, 20, "9ef8010d82b99a96cd94888869f78a78305c34c94f" },
};

static uint8_t picture[THUMBHASH_EDGE * THUMBHASH_EDGE * 4];

static const char *hash_of(void (*paint)(uint8_t *, uint32_t, uint32_t), uint32_t width,
			   uint32_t height)
{
	static char hex[2 * THUMBHASH_MAX + 1];
	uint8_t hash[THUMBHASH_MAX];
	size_t n;

	for (uint32_t y = 0; y < height; y++)
		for (uint32_t x = 0; x < width; x++)
			paint(picture + ((size_t)y * width + x) * 4, x, y);
	n = thumbhash_encode(hash, picture, width, height);
	assert_in_range(n, 5, THUMBHASH_MAX);
	for (size_t i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", hash[i]);
	return hex;
}

static void hashes_are_those_of_the_inventor(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		assert_string_equal(hash_of(vectors[i].paint, vectors[i].width, vectors[i].height),
				    vectors[i].hash);
}

static void orange(uint8_t px[4], uint32_t x, uint32_t y)
{
	(void)x;
	(void)y;
	memcpy(px, "\xff\x80\0\xff", 4);
}

static void nothing(uint8_t px[4], uint32_t x, uint32_t y)
{
	(void)x;
	(void)y;
	memcpy(px, "\x09\x09\x09\0", 4);
}

/* The mean, the shape, and no noise. */
static void a_flat_picture_has_a_flat_hash(void **state)
{
	(void)state;
	assert_string_equal(hash_of(orange, 64, 64),
			    "e0fd02070000000000000000000000000000000000000000");
	assert_string_equal(hash_of(nothing, 64, 64),
			    "00088205000000000000000000000000000000000000000000");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_are_those_of_the_inventor),
		cmocka_unit_test(a_flat_picture_has_a_flat_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
