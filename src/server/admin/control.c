/* What has the server do something at once: /admin/reload, /admin/stop, /admin/keys/rotate. */
#include "server/admin/admin.h"

#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/admin/errand.h"
#include "server/problem.h"
#include "server/reload.h"
#include "server/server.h"

/* ---- reload ---- */

static json_t *lines(const char *text)
{
	json_t *all = json_array();

	while (text != NULL && *text != '\0') {
		const size_t n = strcspn(text, "\n");

		(void)json_array_append_new(all, json_stringn(text, n));
		text += n + (text[n] == '\n');
	}
	return all;
}

static struct reply *reload_work(struct errand *x)
{
	struct reload_report report;
	struct err e = { 0 };
	struct reply *r;

	if (reload_all(x->server->reload, &report, &e) == ERR_OK)
		r = errand_json(200,
				json_pack("{s:o}", "needs_restart", lines(report.needs_restart)));
	else
		r = problem_with(422, "reload-failed", "Nothing has changed.", "problems",
				 lines(report.problems));
	reload_report_fini(&report);
	return r;
}

static enum http_next reload(struct request *req)
{
	return errand_head(req, reload_work);
}

/* ---- stop ---- */

static enum http_next stop(struct request *req)
{
	request_set_ctx(req, request_server(req)); /* for gone() */
	return request_reply(req, errand_json(202, json_pack("{s:b}", "stopping", 1)));
}

/* The answer has left. What follows is what SIGTERM does. */
static void stop_gone(struct request *req)
{
	const struct server *s = request_ctx(req);

	log_info("event=stop_asked");
	(void)pthread_kill(s->main_thread, SIGTERM);
}

/* ---- a fresh token key ---- */

static struct reply *rotate_work(struct errand *x)
{
	const struct settings *set = server_settings(x->server);
	const uint64_t longest = settings_longest_ttl(set);
	struct err e = { 0 };
	uint8_t id;
	enum err_code rc = keys_rotate(set->data_dir, clock_now_s(), longest, &e);

	if (rc == ERR_OK)
		rc = reload_keys(x->server->reload, &e);
	if (rc != ERR_OK) {
		log_error("event=rotate_failed error=\"%s\"", e.why);
		return problem_reply(rc == ERR_TOOBIG ? 409 : 503, "keys-not-rotated",
				     rc == ERR_TOOBIG ? "All 256 numbers of keys are in use."
						      : "The keys file could not be written or "
							"read; the log has more.");
	}
	(void)keys_current(server_keys(x->server), &id);
	log_info("event=keys_rotated");
	return errand_json(200, json_pack("{s:i}", "key", id));
}

static enum http_next rotate(struct request *req)
{
	return errand_head(req, rotate_work);
}

const struct handler admin_reload_handler = { .head = reload, .gone = errand_gone };
const struct handler admin_stop_handler = { .head = stop, .gone = stop_gone };
const struct handler admin_rotate_handler = { .head = rotate, .gone = errand_gone };
