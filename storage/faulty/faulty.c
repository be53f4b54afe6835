/* Wraps another engine and lets calls fail on schedule. For tests.
 *
 * opt->faults is a list of settings with ';' between them:
 *
 *   inner=memory         the engine that does the work; memory if not said
 *   fail=commit:1,3      the first and third commit fail, counted from open
 *   fail=read:*          every read fails
 *   fail=any:7           the seventh call, whichever it is; may be said together with others
 *   code=FULL            with which error, a name from ERR_LIST; IO if not said
 *   when=after           the inner engine does the work, but the error is reported all the same;
 *                        `before`, and always for a commit, concat or reuse: it is not called
 *   delay_ms=5           every call takes that much longer
 *
 * Calls: open write_open stage commit lookup read concat reuse drop extend acknowledge next_open
 * bucket due overdue blob next_blob snapshot give_back. A schedule that does not read so is
 * ERR_INVALID. */
#include "storage/engine.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/num.h"

#define FAULTS_MAX 32 /* numbers after one `fail=`, all of them together */

#define CALLS(X)       \
	X(open)        \
	X(write_open)  \
	X(stage)       \
	X(commit)      \
	X(lookup)      \
	X(read)        \
	X(concat)      \
	X(reuse)       \
	X(drop)        \
	X(extend)      \
	X(acknowledge) \
	X(next_open)   \
	X(bucket)      \
	X(due)         \
	X(overdue)     \
	X(blob)        \
	X(next_blob)   \
	X(snapshot)    \
	X(give_back)   \
	X(any)

#define X(name) CALL_##name,
enum call { CALLS(X) CALL_COUNT };
#undef X

#define X(name) #name,
static const char *const call_names[] = { CALLS(X) };
#undef X

#define X(code, text) #code,
static const char *const code_names[] = { ERR_LIST(X) };
#undef X

struct fault {
	enum call call;
	uint64_t nth; /* 0: every */
};

struct faulty {
	const struct engine *inner;
	void *self;
	struct fault faults[FAULTS_MAX];
	size_t fault_count;
	enum err_code code;
	bool after;
	uint64_t delay_ms;
	atomic_uint_fast64_t calls[CALL_COUNT];
};

/* ---- the schedule ---- */

static bool word_is(struct bytes w, const char *name)
{
	return w.len == strlen(name) && memcmp(w.data, name, w.len) == 0;
}

/* Cuts off what is before the first `mark`, or all. */
static struct bytes cut(struct bytes *rest, char mark)
{
	const uint8_t *end = rest->len > 0 ? memchr(rest->data, mark, rest->len) : NULL;
	struct bytes word = *rest;

	if (end == NULL) {
		rest->data += rest->len;
		rest->len = 0;
		return word;
	}
	word.len = (size_t)(end - rest->data);
	rest->data += word.len + 1;
	rest->len -= word.len + 1;
	return word;
}

static int find_name(const char *const *names, int count, struct bytes w)
{
	for (int i = 0; i < count; i++)
		if (word_is(w, names[i]))
			return i;
	return -1;
}

static bool parse_number(struct bytes w, uint64_t max, uint64_t *out)
{
	return num_u64((const char *)w.data, w.len, max, out);
}

static bool parse_fail(struct faulty *f, struct bytes v)
{
	int call = find_name(call_names, CALL_COUNT, cut(&v, ':'));

	if (call < 0 || v.len == 0)
		return false;
	while (v.len > 0) {
		struct fault x = { .call = (enum call)call };
		struct bytes n = cut(&v, ',');

		if (!word_is(n, "*") && (!parse_number(n, UINT64_MAX, &x.nth) || x.nth == 0))
			return false;
		if (f->fault_count == FAULTS_MAX)
			return false;
		f->faults[f->fault_count++] = x;
	}
	return true;
}

static bool parse_inner(struct faulty *f, struct bytes v)
{
	for (size_t i = 0; engines[i] != NULL; i++)
		if (word_is(v, engines[i]->name) && engines[i] != &engine_faulty) {
			f->inner = engines[i];
			return true;
		}
	return false;
}

static bool parse_code(struct faulty *f, struct bytes v)
{
	int code = find_name(code_names, ERR_COUNT, v);

	f->code = code > 0 ? (enum err_code)code : ERR_IO;
	return code > 0;
}

static bool parse_when(struct faulty *f, struct bytes v)
{
	f->after = word_is(v, "after");
	return f->after || word_is(v, "before");
}

static bool parse_setting(struct faulty *f, struct bytes s)
{
	struct bytes name = cut(&s, '=');

	if (word_is(name, "inner"))
		return parse_inner(f, s);
	if (word_is(name, "fail"))
		return parse_fail(f, s);
	if (word_is(name, "code"))
		return parse_code(f, s);
	if (word_is(name, "when"))
		return parse_when(f, s);
	if (word_is(name, "delay_ms"))
		return parse_number(s, 60000, &f->delay_ms);
	return false;
}

static enum err_code parse_schedule(struct faulty *f, const char *text, struct err *e)
{
	struct bytes rest = { (const uint8_t *)text, text != NULL ? strlen(text) : 0 };

	f->inner = &engine_memory;
	f->code = ERR_IO;
	while (rest.len > 0) {
		struct bytes s = cut(&rest, ';');

		if (s.len > 0 && !parse_setting(f, s))
			return err_set(e, ERR_INVALID, "faults: %.*s", (int)s.len,
				       (const char *)s.data);
	}
	return ERR_OK;
}

/* ---- whose turn it is ---- */

static void wait_ms(uint64_t ms)
{
	struct timespec t = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };

	if (ms > 0)
		(void)nanosleep(&t, NULL);
}

/* Counts a call; whether it is to fail. */
static bool fails(struct faulty *f, enum call call)
{
	uint64_t nth = atomic_fetch_add(&f->calls[call], 1) + 1;
	uint64_t any = atomic_fetch_add(&f->calls[CALL_any], 1) + 1;

	wait_ms(f->delay_ms);
	for (size_t i = 0; i < f->fault_count; i++) {
		const struct fault *x = &f->faults[i];
		uint64_t now = x->call == CALL_any ? any : nth;

		if ((x->call == call || x->call == CALL_any) && (x->nth == 0 || x->nth == now))
			return true;
	}
	return false;
}

static enum err_code fault(const struct faulty *f, enum call call, struct err *e)
{
	return err_set(e, f->code, "a fault was injected into %s", call_names[call]);
}

/* ---- the calls ---- */

static void faulty_close(void *self)
{
	struct faulty *f = self;

	if (f->self != NULL)
		f->inner->close(f->self);
	free(f);
}

static enum err_code faulty_open(void **self, const struct store_options *opt, struct err *e)
{
	struct faulty *f = calloc(1, sizeof(*f));
	enum err_code rc;

	if (f == NULL)
		return err_set(e, ERR_NOMEM, "the engine");
	rc = parse_schedule(f, opt->faults, e);
	if (rc == ERR_OK && fails(f, CALL_open))
		rc = fault(f, CALL_open, e);
	if (rc == ERR_OK)
		rc = f->inner->open(&f->self, opt, e);
	if (rc != ERR_OK)
		goto out;
	*self = f;
	f = NULL;
out:
	if (f != NULL)
		faulty_close(f);
	return rc;
}

static enum err_code faulty_write_open(void *self, const struct upload *rec, bool fresh,
				       uint64_t expect, void **w, struct err *e)
{
	struct faulty *f = self;
	bool fail = fails(f, CALL_write_open);
	void *made = NULL;
	enum err_code rc;

	if (fail && !f->after)
		return fault(f, CALL_write_open, e);
	rc = f->inner->write_open(f->self, rec, fresh, expect, &made, e);
	if (rc != ERR_OK)
		return rc;
	if (fail) {
		f->inner->write_close(f->self, made);
		return fault(f, CALL_write_open, e);
	}
	*w = made;
	return ERR_OK;
}

static enum err_code faulty_stage(void *self, void *w, struct bytes data, struct err *e)
{
	struct faulty *f = self;
	bool fail = fails(f, CALL_stage);
	enum err_code rc = ERR_OK;

	if (!fail || f->after)
		rc = f->inner->stage(f->self, w, data, e);
	return rc == ERR_OK && fail ? fault(f, CALL_stage, e) : rc;
}

/* A failed commit has changed nothing: so it is never passed on. */
static enum err_code faulty_commit(void *self, void *w, const struct commit *c, bool *deduplicated,
				   struct upload **rec, struct err *e)
{
	struct faulty *f = self;

	if (fails(f, CALL_commit))
		return fault(f, CALL_commit, e);
	return f->inner->commit(f->self, w, c, deduplicated, rec, e);
}

static void faulty_write_close(void *self, void *w)
{
	struct faulty *f = self;

	f->inner->write_close(f->self, w);
}

static enum err_code faulty_lookup(void *self, const struct upload_id *id, struct upload **out,
				   struct err *e)
{
	struct faulty *f = self;
	bool fail = fails(f, CALL_lookup);
	struct upload *u = NULL;
	enum err_code rc = ERR_OK;

	if (!fail || f->after)
		rc = f->inner->lookup(f->self, id, &u, e);
	if (rc == ERR_OK && fail) {
		upload_free(u);
		return fault(f, CALL_lookup, e);
	}
	if (rc == ERR_OK)
		*out = u;
	return rc;
}

static enum err_code faulty_read(void *self, const struct extent *x, uint64_t at,
				 struct chunk **out, struct err *e)
{
	struct faulty *f = self;
	bool fail = fails(f, CALL_read);
	struct chunk *c = NULL;
	enum err_code rc = ERR_OK;

	if (!fail || f->after)
		rc = f->inner->read(f->self, x, at, &c, e);
	if (rc == ERR_OK && fail) {
		chunk_unref(c);
		return fault(f, CALL_read, e);
	}
	if (rc == ERR_OK)
		*out = c;
	return rc;
}

/* As with a commit: what failed has changed nothing. */
static enum err_code faulty_concat(void *self, const struct upload *rec, bool fresh,
				   const struct upload_id *parts, size_t part_count,
				   bool *deduplicated, struct upload **out, struct err *e)
{
	struct faulty *f = self;

	if (fails(f, CALL_concat))
		return fault(f, CALL_concat, e);
	return f->inner->concat(f->self, rec, fresh, parts, part_count, deduplicated, out, e);
}

static enum err_code faulty_reuse(void *self, const struct upload *rec, struct upload **out,
				  struct err *e)
{
	struct faulty *f = self;

	if (fails(f, CALL_reuse))
		return fault(f, CALL_reuse, e);
	return f->inner->reuse(f->self, rec, out, e);
}

static enum err_code faulty_drop(void *self, const struct upload_id *id, struct dropping *d,
				 struct err *e)
{
	struct faulty *f = self;
	bool fail = fails(f, CALL_drop);
	enum err_code rc = ERR_OK;

	if (!fail || f->after)
		rc = f->inner->drop(f->self, id, d, e);
	return rc == ERR_OK && fail ? fault(f, CALL_drop, e) : rc;
}

static enum err_code faulty_extend(void *self, const struct upload_id *id, int64_t expires_s,
				   struct err *e)
{
	struct faulty *f = self;
	bool fail = fails(f, CALL_extend);
	enum err_code rc = ERR_OK;

	if (!fail || f->after)
		rc = f->inner->extend(f->self, id, expires_s, e);
	return rc == ERR_OK && fail ? fault(f, CALL_extend, e) : rc;
}

static enum err_code faulty_acknowledge(void *self, const struct upload_id *id, uint16_t recipient,
					int64_t remember_until_s, uint16_t *left,
					struct dropped *out, struct err *e)
{
	struct faulty *f = self;
	bool fail = fails(f, CALL_acknowledge);
	enum err_code rc = ERR_OK;

	if (!fail || f->after)
		rc = f->inner->acknowledge(f->self, id, recipient, remember_until_s, left, out, e);
	return rc == ERR_OK && fail ? fault(f, CALL_acknowledge, e) : rc;
}

static enum err_code faulty_next_open(void *self, const struct upload_id *after,
				      struct upload_id *out, struct err *e)
{
	struct faulty *f = self;

	if (fails(f, CALL_next_open))
		return fault(f, CALL_next_open, e);
	return f->inner->next_open(f->self, after, out, e);
}

static enum err_code faulty_bucket(void *self, const struct bucket_id *b, store_each *each,
				   void *ctx, struct err *e)
{
	struct faulty *f = self;

	if (fails(f, CALL_bucket))
		return fault(f, CALL_bucket, e);
	return f->inner->bucket(f->self, b, each, ctx, e);
}

static enum err_code faulty_due(void *self, int64_t now, struct upload_id *ids, size_t max,
				size_t *count, struct err *e)
{
	struct faulty *f = self;

	if (fails(f, CALL_due))
		return fault(f, CALL_due, e);
	return f->inner->due(f->self, now, ids, max, count, e);
}

static enum err_code faulty_overdue(void *self, int64_t before_s, uint64_t max,
				    struct store_overdue *out, struct err *e)
{
	struct faulty *f = self;

	if (fails(f, CALL_overdue))
		return fault(f, CALL_overdue, e);
	return f->inner->overdue(f->self, before_s, max, out, e);
}

static enum err_code faulty_blob(void *self, const struct digest *d, struct blob *out,
				 struct err *e)
{
	struct faulty *f = self;

	if (fails(f, CALL_blob))
		return fault(f, CALL_blob, e);
	return f->inner->blob(f->self, d, out, e);
}

static enum err_code faulty_next_blob(void *self, const struct digest *after, struct blob *out,
				      struct err *e)
{
	struct faulty *f = self;

	if (fails(f, CALL_next_blob))
		return fault(f, CALL_next_blob, e);
	return f->inner->next_blob(f->self, after, out, e);
}

static enum err_code faulty_snapshot(void *self, const char *dir, struct err *e)
{
	struct faulty *f = self;

	if (fails(f, CALL_snapshot))
		return fault(f, CALL_snapshot, e);
	if (f->inner->snapshot == NULL)
		return err_set(e, ERR_INVALID, "%s makes no snapshots", f->inner->name);
	return f->inner->snapshot(f->self, dir, e);
}

static enum err_code faulty_give_back(void *self, uint64_t budget_ms, struct err *e)
{
	struct faulty *f = self;

	if (fails(f, CALL_give_back))
		return fault(f, CALL_give_back, e);
	return f->inner->give_back != NULL ? f->inner->give_back(f->self, budget_ms, e) : ERR_OK;
}

static void faulty_hurry(void *self)
{
	struct faulty *f = self;

	if (f->inner->hurry != NULL)
		f->inner->hurry(f->self);
}

static void faulty_measure(void *self, struct store_stats *out)
{
	struct faulty *f = self;

	f->inner->measure(f->self, out);
}

const struct engine engine_faulty = {
	.name = "faulty",
	.open = faulty_open,
	.close = faulty_close,
	.write_open = faulty_write_open,
	.stage = faulty_stage,
	.commit = faulty_commit,
	.write_close = faulty_write_close,
	.lookup = faulty_lookup,
	.read = faulty_read,
	.concat = faulty_concat,
	.reuse = faulty_reuse,
	.drop = faulty_drop,
	.extend = faulty_extend,
	.acknowledge = faulty_acknowledge,
	.next_open = faulty_next_open,
	.bucket = faulty_bucket,
	.due = faulty_due,
	.overdue = faulty_overdue,
	.blob = faulty_blob,
	.next_blob = faulty_next_blob,
	.snapshot = faulty_snapshot,
	.give_back = faulty_give_back,
	.hurry = faulty_hurry,
	.measure = faulty_measure,
};
