#include "base/clock.h"

#include <string.h>
#include <time.h>

#define LAST_SECOND INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

/* Names are ours and not strftime's, which asks the locale. */
static const char *const days[7] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
				     "Thursday", "Friday", "Saturday" };
static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
				    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

int64_t clock_now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec;
}

int64_t clock_mono_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static struct tm calendar(int64_t unix_s)
{
	time_t t = unix_s < 0 ? 0 : unix_s > LAST_SECOND ? LAST_SECOND : unix_s;
	struct tm tm;

	gmtime_r(&t, &tm);
	return tm;
}

void clock_rfc3339(char out[static CLOCK_RFC3339_SIZE], int64_t unix_s)
{
	struct tm tm = calendar(unix_s);

	strftime(out, CLOCK_RFC3339_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void clock_http(char out[static CLOCK_HTTP_SIZE], int64_t unix_s)
{
	struct tm tm = calendar(unix_s);

	strftime(out, CLOCK_HTTP_SIZE, "ddd, %d mmm %Y %H:%M:%S GMT", &tm);
	memcpy(out, days[tm.tm_wday], 3);
	memcpy(out + 8, months[tm.tm_mon], 3);
}

void clock_clf(char out[static CLOCK_CLF_SIZE], int64_t unix_s)
{
	struct tm tm = calendar(unix_s);

	strftime(out, CLOCK_CLF_SIZE, "%d/mmm/%Y:%H:%M:%S +0000", &tm);
	memcpy(out + 3, months[tm.tm_mon], 3);
}

/* ---- reading ----------------------------------------------------------------------------------
 */

struct reader {
	const char *p, *end;
};

static bool take(struct reader *r, const char *word, size_t n)
{
	if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0)
		return false;
	r->p += n;
	return true;
}

static bool take_digits(struct reader *r, int n, int *out)
{
	int v = 0;

	if (r->end - r->p < n)
		return false;
	for (; n > 0; n--, r->p++) {
		if (*r->p < '0' || *r->p > '9')
			return false;
		v = v * 10 + (*r->p - '0');
	}
	*out = v;
	return true;
}

/* The day's name has to be one, but need not be the right one: what counts is the date. */
static bool take_weekday(struct reader *r, bool in_full)
{
	for (int i = 0; i < 7; i++) {
		if (take(r, days[i], in_full ? strlen(days[i]) : 3))
			return true;
	}
	return false;
}

static bool take_month(struct reader *r, struct tm *tm)
{
	for (tm->tm_mon = 0; tm->tm_mon < 12; tm->tm_mon++) {
		if (take(r, months[tm->tm_mon], 3))
			return true;
	}
	return false;
}

static bool take_month_number(struct reader *r, struct tm *tm)
{
	int month;

	if (!take_digits(r, 2, &month) || month < 1 || month > 12)
		return false;
	tm->tm_mon = month - 1;
	return true;
}

/* RFC 9110 section 5.6.7: a year that appears to be more than 50 years away is a past one. */
static int full_year(int two_digits, int this_year)
{
	int year = this_year - this_year % 100 + two_digits;

	return year > this_year + 50 ? year - 100 : year;
}

static bool take_year(struct reader *r, struct tm *tm, int digits)
{
	int year;

	if (!take_digits(r, digits, &year))
		return false;
	if (digits == 2)
		year = full_year(year, calendar(clock_now_s()).tm_year + 1900);
	tm->tm_year = year - 1900;
	return true;
}

/* One field of a form; the letters are strptime's, which itself is too lenient for us. */
static bool take_field(struct reader *r, char field, struct tm *tm)
{
	switch (field) {
	case 'a':
		return take_weekday(r, false);
	case 'A':
		return take_weekday(r, true);
	case 'b':
		return take_month(r, tm);
	case 'm':
		return take_month_number(r, tm);
	case 'd':
		return take_digits(r, 2, &tm->tm_mday);
	case 'e':
		return take(r, " ", 1) ? take_digits(r, 1, &tm->tm_mday)
				       : take_digits(r, 2, &tm->tm_mday);
	case 'Y':
		return take_year(r, tm, 4);
	case 'y':
		return take_year(r, tm, 2);
	case 'H':
		return take_digits(r, 2, &tm->tm_hour);
	case 'M':
		return take_digits(r, 2, &tm->tm_min);
	default: /* 'S' */
		return take_digits(r, 2, &tm->tm_sec);
	}
}

static bool take_form(struct reader *r, const char *form, struct tm *tm)
{
	for (; *form != '\0'; form++) {
		if (*form == '%' ? !take_field(r, *++form, tm) : !take(r, form, 1))
			return false;
	}
	return true;
}

static bool read_form(const char *form, const char *text, size_t n, struct tm *tm)
{
	struct reader r = { text, text + n };

	return take_form(&r, form, tm) && r.p == r.end;
}

/* timegm() would take the 31st of February for the 3rd of March. */
static bool is_date(const struct tm *tm)
{
	static const int lengths[12] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int year = tm->tm_year + 1900;
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	int length = tm->tm_mon == 1 && !leap ? 28 : lengths[tm->tm_mon];

	/* 60 is a leap second (RFC 5322 section 3.3). */
	return tm->tm_mday >= 1 && tm->tm_mday <= length && tm->tm_hour <= 23 && tm->tm_min <= 59 &&
	       tm->tm_sec <= 60;
}

bool clock_parse_http(const char *text, size_t n, int64_t *out)
{
	static const char *const forms[] = {
		"%a, %d %b %Y %H:%M:%S GMT", /* IMF-fixdate */
		"%A, %d-%b-%y %H:%M:%S GMT", /* RFC 850 */
		"%a %b %e %H:%M:%S %Y",      /* asctime() */
	};

	if (n == 0)
		return false;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm = { 0 };

		if (read_form(forms[i], text, n, &tm) && is_date(&tm)) {
			*out = timegm(&tm);
			return true;
		}
	}
	return false;
}

bool clock_parse_rfc3339(const char *text, size_t n, int64_t *out)
{
	struct tm tm = { 0 };

	if (!read_form("%Y-%m-%dT%H:%M:%SZ", text, n, &tm) || !is_date(&tm) || tm.tm_sec == 60 ||
	    tm.tm_year < 70)
		return false;
	*out = timegm(&tm);
	return true;
}

/* A dot is to have digits behind it. */
static bool skip_fraction(struct reader *r)
{
	int digit;

	if (!take(r, ".", 1))
		return true;
	if (!take_digits(r, 1, &digit))
		return false;
	while (take_digits(r, 1, &digit))
		;
	return true;
}

/* Seconds that the written time is ahead of UTC. */
static bool take_offset(struct reader *r, int *offset)
{
	int sign, hours, minutes;

	*offset = 0;
	if (take(r, "Z", 1) || take(r, "z", 1))
		return true;
	sign = take(r, "+", 1) ? 1 : take(r, "-", 1) ? -1 : 0;
	if (sign == 0 || !take_digits(r, 2, &hours) || !take(r, ":", 1) ||
	    !take_digits(r, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*offset = sign * (hours * 3600 + minutes * 60);
	return true;
}

bool clock_parse_timestamp(const char *text, size_t n, int64_t *out)
{
	struct reader r = { text, text + n };
	struct tm tm = { 0 };
	int64_t at;
	int offset;

	if (!take_form(&r, "%Y-%m-%d", &tm) || !(take(&r, "T", 1) || take(&r, "t", 1)) ||
	    !take_form(&r, "%H:%M:%S", &tm) || !skip_fraction(&r) || !take_offset(&r, &offset) ||
	    r.p != r.end || !is_date(&tm))
		return false;
	at = (int64_t)timegm(&tm) - offset;
	if (at < 0 || at > LAST_SECOND)
		return false;
	*out = at;
	return true;
}
