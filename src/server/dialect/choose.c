#include "server/dialect/choose.h"

#include "server/dialect/fields.h"
#include "server/dialect/put.h"
#include "server/dialect/rufh.h"
#include "server/dialect/tus.h"
#include "server/reuse.h"

static bool speaks_tus(const struct request *r)
{
	return field_there(r, "Tus-Resumable");
}

static bool speaks_rufh(const struct request *r)
{
	bool said;

	return !speaks_tus(r) && (field_sf_boolean(r, "Upload-Complete", &said) ||
				  field_sf_boolean(r, "Upload-Incomplete", &said) ||
				  field_has_type(r, "application/partial-upload"));
}

/* A proof in the place of bytes is no dialect's. Who says nothing of the kind hears from tus what
 * can be spoken here. */
static const struct handler *create(const struct request *r)
{
	if (field_there(r, "Blob-Proof"))
		return &reuse_create_handler;
	return speaks_rufh(r) ? &rufh_create_handler : &tus_create_handler;
}

/* Older interop versions append without a media type, and may leave out Upload-Complete. */
static const struct handler *append(const struct request *r)
{
	return speaks_rufh(r) || (!speaks_tus(r) && field_there(r, "Upload-Draft-Interop-Version"))
		       ? &rufh_append_handler
		       : &tus_patch_handler;
}

static const struct handler *look(const struct request *r)
{
	return speaks_tus(r) ? &tus_head_handler : &rufh_look_handler;
}

static const struct handler *cancel(const struct request *r)
{
	return speaks_tus(r) ? &tus_delete_handler : &rufh_cancel_handler;
}

static const struct handler *put(const struct request *r)
{
	return speaks_rufh(r) ? &rufh_create_handler : &put_handler;
}

const struct handler choose_create_handler = { .choose = create };
const struct handler choose_look_handler = { .choose = look };
const struct handler choose_append_handler = { .choose = append };
const struct handler choose_delete_handler = { .choose = cancel };
const struct handler choose_put_handler = { .choose = put };
