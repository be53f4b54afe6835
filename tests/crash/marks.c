#include <stdlib.h>
#include <string.h>

#include "tests/crash/campaign.h"
#include "tests/lib/rufh.h"

/* The server makes a request durable about every 64 MiB, and tells when the next bytes come. */
#define LONGEST ((uint64_t)256 << 20)
#define STEP ((size_t)256 << 10)
#define REST ((size_t)100000)

/* ---- under load ---- */

static void listen_for(struct worker *w, struct marked *m, int ms)
{
	struct answer a;
	char text[32];

	while (rufh_interim(w->client, ms, &a) == 104) {
		if (m->path[0] == '\0')
			(void)answer_field(&a, "Location", m->path, sizeof(m->path));
		if (answer_field(&a, "Upload-Offset", text, sizeof(text))) {
			m->told = strtoull(text, NULL, 10);
			m->heard++;
		}
		if (m->told > m->sent)
			fail("a 104 for bytes that were not sent: %s", a.head);
		answer_free(&a);
		ms = 0;
	}
	answer_free(&a);
}

static bool send_some(struct worker *w, struct marked *m)
{
	size_t at = (m->content.at + m->sent) % POOL_SIZE, n = STEP;

	if (n > POOL_SIZE - at)
		n = POOL_SIZE - at;
	m->sent += n;
	return client_chunk(w->client, w->c->pool + at, n);
}

void marks_send(struct worker *w, struct marked *m)
{
	m->content.at = below(&w->random, POOL_SIZE);
	if (!have_client(w) || !rufh_ask(w->client, "POST", "/v1/uploads", RUFH_CHUNKED,
					 RUFH_WHOLE "Upload-Draft-Interop-Version: 8\r\n"))
		return;
	listen_for(w, m, 1000);
	while (m->sent < LONGEST && !atomic_load(&w->c->killing) && send_some(w, m))
		listen_for(w, m, 0);
	while (!atomic_load(&w->c->killing))
		listen_for(w, m, 5);
	listen_for(w, m, 5);
	drop_client(w);
}

/* ---- after a start ---- */

static uint64_t offset_of(struct worker *w, struct marked *m)
{
	struct rufh_state s;
	struct answer a;

	if (!exchange(w, "HEAD", m->path, NULL, NULL, &a))
		fail("HEAD broke off");
	s = rufh_state_of(&a);
	if (s.status != 204 || s.complete != 0 || s.offset < 0 || (uint64_t)s.offset < m->told ||
	    (uint64_t)s.offset > m->sent)
		fail("a long request of %llu bytes, of which a 104 told %llu: %s",
		     (unsigned long long)m->sent, (unsigned long long)m->told, a.head);
	answer_free(&a);
	return (uint64_t)s.offset;
}

/* The last bytes; from where it stopped. */
static void complete(struct worker *w, struct marked *m, uint64_t offset)
{
	const size_t at = (m->content.at + offset) % POOL_SIZE;
	const size_t n = REST < POOL_SIZE - at ? REST : POOL_SIZE - at;
	const struct load l = { .p = w->c->pool + at, .n = n, .sent = n };
	struct fields f = { 0 };
	struct answer a;

	fields_add(&f, "Content-Type: application/partial-upload");
	fields_add(&f, "Upload-Complete: ?1");
	fields_add(&f, "Upload-Offset: %llu", (unsigned long long)offset);
	if (!exchange(w, "PATCH", m->path, &f, &l, &a) || a.status != 201 ||
	    !answer_field(&a, "Media-Token", m->token, sizeof(m->token)))
		fail("the rest of a long request: %s", a.head != NULL ? a.head : "no answer");
	answer_free(&a);
	m->content.len = (size_t)offset + n;
}

static bool identical(const struct campaign *c, const struct marked *m, const struct answer *a)
{
	size_t at = m->content.at;

	if (a->body_len != m->content.len)
		return false;
	for (size_t done = 0, n; done < a->body_len; done += n, at = 0) {
		n = a->body_len - done < POOL_SIZE - at ? a->body_len - done : POOL_SIZE - at;
		if (memcmp(a->body + done, c->pool + at, n) != 0)
			return false;
	}
	return true;
}

void marks_verify(struct worker *w, struct marked *m)
{
	char target[128] = "/v1/media/";
	struct answer a;

	if (m->path[0] == '\0')
		return;
	w->c->marked += m->told > 0;
	complete(w, m, offset_of(w, m));
	if (!exchange(w, "GET", strcat(target, m->token), NULL, NULL, &a) || a.status != 200 ||
	    !identical(w->c, m, &a))
		fail("a long request came back as %zu other bytes", a.body_len);
	answer_free(&a);
	if (!exchange(w, "DELETE", m->path, NULL, NULL, &a) || a.status != 204)
		fail("DELETE of a long request: %s", a.head);
	answer_free(&a);
}
