#include "server/meter.h"

#include "base/clock.h"

/* What is known at the beginning is charged then, so that nothing is sent in vain. */
static uint64_t weight_to_come(const struct upload *rec, uint64_t length, uint64_t announced)
{
	if (length != UPLOAD_LENGTH_UNKNOWN)
		return length;
	return announced == UINT64_MAX ? rec->offset : rec->offset + announced;
}

static enum err_code charge_up_to(struct meter *m, uint64_t weight, struct quota_refusal *why)
{
	enum err_code rc = ERR_OK;

	if (weight <= m->charged)
		return ERR_OK;
	rc = quota_grow(m->quota, &m->bucket, m->limits, weight - m->charged, why);
	if (rc == ERR_OK)
		m->charged = weight;
	return rc;
}

static enum err_code begin_body(struct meter *m, uint64_t announced, int64_t now_ms,
				struct quota_refusal *why)
{
	enum err_code rc = quota_may_send(m->quota, &m->bucket, m->limits, announced, now_ms, why);

	if (rc == ERR_OK && m->limits->quota_bytes_per_minute != 0)
		m->to_come = announced;
	m->began_ms = now_ms;
	return rc;
}

enum err_code meter_begin(struct meter *m, struct quota *q, const struct upload *rec,
			  uint64_t length, uint64_t announced, const struct settings *limits,
			  int64_t now_ms, struct quota_refusal *why)
{
	enum err_code rc = ERR_OK;

	*m = (struct meter){ .quota = NULL };
	if (!bucket_given(&rec->bucket))
		return ERR_OK;
	if (!quota_hold(q, &rec->bucket))
		return ERR_BUSY;
	*m = (struct meter){
		.quota = q,
		.bucket = rec->bucket,
		.limits = limits,
		.grows = length == UPLOAD_LENGTH_UNKNOWN,
		.charged = upload_weight(rec),
		.stored = upload_weight(rec),
	};
	if (announced != 0)
		rc = begin_body(m, announced == UINT64_MAX ? 0 : announced, now_ms, why);
	if (rc == ERR_OK)
		rc = charge_up_to(m, weight_to_come(rec, length, announced), why);
	if (rc != ERR_OK)
		meter_end(m);
	return rc;
}

enum err_code meter_reach(struct meter *m, uint64_t offset, struct quota_refusal *why)
{
	return m->quota == NULL || !m->grows ? ERR_OK : charge_up_to(m, offset, why);
}

void meter_count(struct meter *m, uint64_t bytes)
{
	const uint64_t counted = bytes < m->to_come ? bytes : m->to_come;

	m->to_come -= counted;
	if (m->quota != NULL && bytes > counted)
		quota_sent(m->quota, &m->bucket, bytes - counted, clock_mono_ms());
}

void meter_stored(struct meter *m, uint64_t weight)
{
	m->stored = weight;
}

void meter_settle(struct meter *m)
{
	if (m->quota == NULL)
		return;
	if (m->to_come > 0)
		quota_not_sent(m->quota, &m->bucket, m->limits, m->to_come, m->began_ms,
			       clock_mono_ms());
	m->to_come = 0;
	if (m->charged <= m->stored)
		return;
	quota_leave(m->quota, &m->bucket, 0, m->charged - m->stored);
	m->charged = m->stored;
}

void meter_end(struct meter *m)
{
	if (m->quota == NULL)
		return;
	meter_settle(m);
	quota_let_go(m->quota, &m->bucket);
	m->quota = NULL;
}
