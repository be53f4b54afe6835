#include "cli/operator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cancel.h"
#include "cli/say.h"
#include "restante/operator.h"

#define OF_THIS_FOLDER "data/admin.sock"
#define OF_THE_SYSTEM "/var/lib/restante/admin.sock"

/* ---- whom to ask --------------------------------------------------------------------------- */

/* In a folder of somebody else, who may lie there in wait, it is not taken. */
static bool is_ours(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_uid == geteuid();
}

const char *operator_socket(const struct options *o)
{
	const char *given = options_get(o, "socket");

	if (given != NULL)
		return given; /* also if it is empty, which is found to be wrong */
	given = getenv("RESTANTE_SOCKET");
	if (given != NULL && given[0] != '\0')
		return given;
	return is_ours(OF_THIS_FOLDER) ? OF_THIS_FOLDER : OF_THE_SYSTEM;
}

/* ---- asking -------------------------------------------------------------------------------- */

/* What the library says of the network is said of a socket here: it has no exit code of its own. */
static bool unasked(struct trouble *t, const struct restante_error *e)
{
	if (e->code == RESTANTE_CANCELLED)
		return trouble_library(t, e, NULL);
	if (e->code == RESTANTE_INVALID)
		return trouble_usage(t, "--socket: %s", e->detail);
	return trouble_local(t, e->code == RESTANTE_NOMEM ? ERR_NOMEM : ERR_IO, "%s", e->detail);
}

struct heard {
	int status;
	char *text;
	size_t size;
};

static bool ask(const struct options *o, const struct question *q, struct heard *h,
		struct trouble *t)
{
	struct restante_client *client = NULL;
	struct restante_error e = { 0 };
	bool ok;

	if (restante_operator_new(&client, operator_socket(o), &e) != RESTANTE_OK)
		return unasked(t, &e);
	restante_client_set_stall(client, q->patience_ms);
	cancel_watch(q->unwatched ? NULL : client);
	ok = restante_operator_ask(client, q->method, q->target, &h->status, &h->text, &h->size,
				   &e) == RESTANTE_OK;
	cancel_watch(NULL);
	restante_client_free(client);
	return ok || unasked(t, &e);
}

/* ---- refusals ------------------------------------------------------------------------------ */

static void tell_problems(const json_t *list)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one) if (json_is_string(one)) say("%s", json_string_value(one));
}

/* RFC 9457. A server that does not know what was asked is another version, or another program. */
static bool refused(const struct heard *h, struct trouble *t)
{
	json_t *problem = json_loadb(h->text, h->size, 0, NULL);
	const char *title = operator_text(problem, NULL, "title");
	const char *detail = operator_text(problem, NULL, "detail");

	tell_problems(json_object_get(problem, "problems"));
	if (title[0] != '\0' || detail[0] != '\0')
		(void)trouble_local(t, ERR_IO, "the server refuses: %.100s%s%.200s", title,
				    title[0] != '\0' && detail[0] != '\0' ? ": " : "", detail);
	else
		(void)trouble_local(t, ERR_IO, "the server refuses with status %d", h->status);
	json_decref(problem);
	return false;
}

static bool answered(const struct options *o, const struct question *q, struct heard *h,
		     struct trouble *t)
{
	if (!ask(o, q, h, t))
		return false;
	return (h->status >= 200 && h->status <= 299) || refused(h, t);
}

/* ---- answers ------------------------------------------------------------------------------- */

bool operator_ask(const struct options *o, const struct question *q, json_t **out,
		  struct trouble *t)
{
	struct heard h = { 0 };
	json_t *answer = NULL;
	bool ok = answered(o, q, &h, t);

	if (ok && out != NULL) {
		answer = json_loadb(h.text, h.size, JSON_REJECT_DUPLICATES, NULL);
		ok = json_is_object(answer) ||
		     trouble_local(t, ERR_IO, "the server's answer makes no sense");
	}
	free(h.text);
	if (ok && out != NULL)
		*out = answer;
	else
		json_decref(answer);
	return ok;
}

bool operator_ask_text(const struct options *o, const struct question *q, char **out,
		       struct trouble *t)
{
	struct heard h = { 0 };
	bool ok = answered(o, q, &h, t);

	if (ok)
		*out = h.text;
	else
		free(h.text);
	return ok;
}

static const json_t *member(const json_t *answer, const char *object, const char *name)
{
	return json_object_get(object != NULL ? json_object_get(answer, object) : answer, name);
}

uint64_t operator_number(const json_t *answer, const char *object, const char *name)
{
	const json_t *value = member(answer, object, name);
	json_int_t number = json_is_real(value) ? (json_int_t)json_real_value(value)
						: json_integer_value(value);

	return number > 0 ? (uint64_t)number : 0;
}

const char *operator_text(const json_t *answer, const char *object, const char *name)
{
	const char *text = json_string_value(member(answer, object, name));

	return text != NULL ? text : "";
}

bool operator_flag(const json_t *answer, const char *name)
{
	return json_is_true(json_object_get(answer, name));
}
