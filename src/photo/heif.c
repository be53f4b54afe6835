#include "photo/heif.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vips/vips.h>

/* libvips looks for its modules below $VIPSHOME; there is nothing below /dev/null. */
int heif_start_vips(void)
{
	const char *old = getenv("VIPSHOME");
	char *kept = old != NULL ? strdup(old) : NULL;
	int rc;

	if ((old != NULL && kept == NULL) || setenv("VIPSHOME", "/dev/null", 1) != 0)
		return -1;
	rc = vips_init("restante");
	if (kept != NULL)
		(void)setenv("VIPSHOME", kept, 1);
	else
		(void)unsetenv("VIPSHOME");
	free(kept);
	return rc;
}

static bool is_known(void)
{
	const bool known = vips_type_find("VipsForeignLoad", "heifload_buffer") != 0;

	vips_error_clear();
	return known;
}

/* Beside libvips itself, in a folder named after its version. */
static bool module_path(char *path, size_t room)
{
	Dl_info lib;
	const char *slash;
	int n;

	if (dladdr((void *)(uintptr_t)vips_init, &lib) == 0 || lib.dli_fname == NULL)
		return false;
	slash = strrchr(lib.dli_fname, '/');
	if (slash == NULL)
		return false;
	n = snprintf(path, room, "%.*s/vips-modules-%d.%d/vips-heif.so",
		     (int)(slash - lib.dli_fname), lib.dli_fname, vips_version(0), vips_version(1));
	return n > 0 && (size_t)n < room;
}

/* As GModule would: the module's own function announces its loaders. It stays for good, as types
 * cannot be taken back. */
static void load_module(void)
{
	char path[4096];
	const char *(*start)(void *);
	void *module;

	if (is_known() || !module_path(path, sizeof(path)))
		return;
	module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (module == NULL)
		return;
	*(void **)&start = dlsym(module, "g_module_check_init");
	if (start != NULL)
		(void)start(NULL);
}

bool heif_ready(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, load_module);
	return is_known();
}
