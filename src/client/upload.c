#include <stdlib.h>
#include <string.h>

#include "client/fail.h"
#include "client/send.h"

#define RECIPIENTS_MAX 1024

struct restante_upload {
	struct send send;
	bool running;
};

enum restante_code restante_upload_new(struct restante_upload **out, struct restante_client *client,
				       struct restante_error *error)
{
	struct restante_upload *u;

	if (out == NULL || client == NULL)
		return fail_plain(error, RESTANTE_MISUSE);
	u = calloc(1, sizeof(*u));
	if (u == NULL)
		return fail_plain(error, RESTANTE_NOMEM);
	send_init(&u->send, client);
	*out = u;
	return RESTANTE_OK;
}

void restante_upload_free(struct restante_upload *upload)
{
	if (upload == NULL || upload->running)
		return;
	send_fini(&upload->send);
	free(upload);
}

/* ---- what to send ---- */

/* Exactly one source, and not while it runs. */
static bool wants_source(const struct restante_upload *u)
{
	return u != NULL && !u->running && u->send.source == NULL;
}

enum restante_code restante_upload_file(struct restante_upload *upload, const char *path,
					struct restante_error *error)
{
	if (!wants_source(upload) || path == NULL)
		return fail_plain(error, RESTANTE_MISUSE);
	return source_of_file(&upload->send.source, path, error);
}

enum restante_code restante_upload_memory(struct restante_upload *upload, const void *data,
					  size_t size, struct restante_error *error)
{
	if (!wants_source(upload) || (data == NULL && size > 0))
		return fail_plain(error, RESTANTE_MISUSE);
	return source_of_memory(&upload->send.source, data, size, error);
}

enum restante_code restante_upload_fd(struct restante_upload *upload, int fd, bool padded,
				      struct restante_error *error)
{
	if (!wants_source(upload) || fd < 0)
		return fail_plain(error, RESTANTE_MISUSE);
	return source_of_fd(&upload->send.source, fd, padded, error);
}

enum restante_code restante_upload_sealed_file(struct restante_upload *upload, const char *path,
					       struct restante_error *error)
{
	if (!wants_source(upload) || path == NULL)
		return fail_plain(error, RESTANTE_MISUSE);
	return source_of_sealed_file(&upload->send.source, path, error);
}

/* ---- how ---- */

enum restante_code restante_upload_set_kind(struct restante_upload *upload, const char *kind,
					    struct restante_error *error)
{
	static const char *const kinds[] = { "photo", "video", "voice", "file" };
	size_t i;

	if (upload == NULL || upload->running || kind == NULL)
		return fail_plain(error, RESTANTE_MISUSE);
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kind, kinds[i]) == 0) {
			(void)strcpy(upload->send.kind, kinds[i]);
			return RESTANTE_OK;
		}
	}
	return fail(error, RESTANTE_INVALID, "the kind is photo, video, voice or file");
}

void restante_upload_set_ttl(struct restante_upload *upload, uint64_t ttl_s)
{
	if (upload != NULL && !upload->running)
		upload->send.ttl_s = ttl_s;
}

void restante_upload_set_recipients(struct restante_upload *upload, unsigned count)
{
	if (upload != NULL && !upload->running)
		upload->send.recipients = count < RECIPIENTS_MAX ? count : RECIPIENTS_MAX;
}

void restante_upload_set_parts(struct restante_upload *upload, unsigned count)
{
	if (upload != NULL && !upload->running)
		upload->send.parts = count < PARTS_MAX ? count : PARTS_MAX;
}

/* Replaces *slot by a copy of text, or by NULL. */
static enum restante_code set_text(char **slot, const char *text, struct restante_error *error)
{
	char *copy = text != NULL ? strdup(text) : NULL;

	if (text != NULL && copy == NULL)
		return fail_plain(error, RESTANTE_NOMEM);
	free(*slot);
	*slot = copy;
	return RESTANTE_OK;
}

static bool is_path(const char *text)
{
	size_t i;

	if (text[0] != '/')
		return false;
	for (i = 0; text[i] != '\0'; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return true;
}

enum restante_code restante_upload_set_endpoint(struct restante_upload *upload, const char *path,
						struct restante_error *error)
{
	if (upload == NULL || upload->running)
		return fail_plain(error, RESTANTE_MISUSE);
	if (path != NULL && !is_path(path))
		return fail(error, RESTANTE_INVALID,
			    "an endpoint is a path on the server that begins with /");
	return set_text(&upload->send.endpoint_path, path, error);
}

enum restante_code restante_upload_set_state(struct restante_upload *upload, const char *path,
					     struct restante_error *error)
{
	if (upload == NULL || upload->running)
		return fail_plain(error, RESTANTE_MISUSE);
	return set_text(&upload->send.state_path, path, error);
}

void restante_upload_set_progress(struct restante_upload *upload, restante_progress_fn *fn,
				  void *context)
{
	if (upload == NULL || upload->running)
		return;
	upload->send.progress = fn;
	upload->send.progress_context = context;
}

void restante_upload_set_begun(struct restante_upload *upload, restante_begun_fn *fn, void *context)
{
	if (upload == NULL || upload->running)
		return;
	upload->send.begun = fn;
	upload->send.begun_context = context;
}

/* ---- doing it ---- */

enum restante_code restante_upload_run(struct restante_upload *upload,
				       struct restante_envelope *envelope,
				       struct restante_error *error)
{
	struct restante_error own; /* of what fails inside, the code is read from it */
	struct source_id id;
	enum restante_code rc;

	if (upload == NULL || envelope == NULL || upload->running)
		return fail_plain(error, RESTANTE_MISUSE);
	if (upload->send.source == NULL)
		return fail(error, RESTANTE_MISUSE, "nothing was said to be sent");
	if (upload->send.state_path != NULL && !source_id(upload->send.source, &id))
		return fail(error, RESTANTE_MISUSE, "a state file is for files only");
	upload->running = true;
	rc = send_run(&upload->send, envelope, error != NULL ? error : &own);
	upload->running = false;
	return rc;
}

const char *restante_upload_manage_token(const struct restante_upload *upload)
{
	const struct tus_news *news = upload != NULL ? send_news(&upload->send) : NULL;

	return news != NULL && news->manage[0] != '\0' ? news->manage : NULL;
}

const char *restante_upload_location(const struct restante_upload *upload)
{
	return upload != NULL ? send_location(&upload->send) : NULL;
}
