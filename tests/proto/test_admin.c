/* admin - what the operator asks over the admin socket (doc/http-api.md, "Operating"), and who may.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/lib/admin.h"
#include "tests/lib/client.h"
#include "tests/lib/server.h"
#include "tests/lib/tus.h"

#define CONF "upload { min_free = 0 }\nexpiry { interval = 0 }\n"

static int start(void **state)
{
	static struct test_server server;

	server_start(&server, &(struct test_server_options){ .config = CONF });
	*state = &server;
	return 0;
}

static int stop(void **state)
{
	server_remove(*state);
	return 0;
}

static const struct {
	const char *method, *path;
} questions[] = {
	{ "GET", "/admin/status" },         { "GET", "/admin/stats" },
	{ "GET", "/admin/running-config" }, { "POST", "/admin/reload" },
	{ "POST", "/admin/stop" },          { "POST", "/admin/keys/rotate" },
	{ "POST", "/admin/expire" },        { "POST", "/admin/check" },
	{ "POST", "/admin/backup" },        { "DELETE", "/admin/backup/2026-01-01T00-00-00Z" },
};
#define QUESTIONS (sizeof(questions) / sizeof(questions[0]))

/* ---- who may ask ---- */

static void clients_of_the_public_listener_find_none_of_it(void **state)
{
	struct test_server *s = *state;

	for (size_t i = 0; i < QUESTIONS; i++)
		assert_int_equal(http_status(s->port, questions[i].method, questions[i].path, ""),
				 404);
	assert_true(server_alive(s));
}

static void each_resource_has_one_method(void **state)
{
	struct test_server *s = *state;

	for (size_t i = 0; i < QUESTIONS; i++) {
		const char *other = questions[i].method[0] == 'G' ? "POST" : "GET";
		struct answer a;

		admin_ask(s, other, questions[i].path, &a);
		assert_problem(&a, 405);
	}
}

/* Opens the way for everybody that the modes of folders and socket close. */
static void let_all_connect(const struct test_server *s, bool all)
{
	char path[128];

	assert_int_equal(chmod(s->dir, all ? 0711 : 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/data", s->dir);
	assert_int_equal(chmod(path, all ? 0711 : 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/data/admin.sock", s->dir);
	assert_int_equal(chmod(path, all ? 0666 : 0600), 0);
}

/* What happens to another user who asks: 0 an answer, 1 closed without a word, 2 not let in. */
static int ask_as_nobody(const struct test_server *s)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	static const char ask[] = "GET /admin/status HTTP/1.1\r\nHost: t\r\n\r\n";
	char c;
	int fd;

	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/data/admin.sock", s->dir);
	if (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0)
		return 3;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0)
		return 2;
	(void)signal(SIGPIPE, SIG_IGN);
	(void)!write(fd, ask, sizeof(ask) - 1);
	return read(fd, &c, 1) <= 0;
}

static int outcome_for_nobody(const struct test_server *s)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(ask_as_nobody(s));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void other_users_are_not_heard(void **state)
{
	struct test_server *s = *state;

	if (geteuid() != 0)
		skip();
	assert_int_equal(outcome_for_nobody(s), 2); /* by the modes */
	let_all_connect(s, true);
	assert_int_equal(outcome_for_nobody(s), 1); /* by who they are */
	let_all_connect(s, false);
	assert_int_equal(server_metric(s, "restante_admin_refused_total"), 1);
	assert_true(server_logs(s, "event=admin_refused", 1000));
	assert_int_equal(admin_status(s, "GET", "/admin/status"), 200);
}

static void the_socket_is_for_its_owner_only(void **state)
{
	struct test_server *s = *state;
	char path[128];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/data/admin.sock", s->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

/* ---- how it is ---- */

static void status_tells_how_the_server_is(void **state)
{
	static const char *const numbers[] = {
		"pid",
		"uptime_s",
		"connections",
		"uploads.open",
		"uploads.alive",
		"bytes.alive",
		"bytes.on_disk",
		"bytes.free",
		"cache.bytes",
		"cache.chunks",
		"cache.hits",
		"cache.misses",
		"sweeps.count",
		"sweeps.last_dropped",
		"sweeps.last_seconds",
		"sweeps.expired",
		"requests.2xx",
		"requests.3xx",
		"requests.4xx",
		"requests.5xx",
		"requests.cut",
		"bytes_received",
		"bytes_sent",
	};
	struct test_server *s = *state;
	char url[160];
	struct answer a;

	admin_ask(s, "GET", "/admin/status", &a);
	assert_status(&a, 200);
	assert_field(&a, "Content-Type", "application/json");
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (admin_number(&a, numbers[i]) < 0)
			fail_msg("no %s in %s", numbers[i], (const char *)a.body);
	assert_int_equal((pid_t)admin_number(&a, "pid"), s->pid);
	assert_true(admin_has(&a, "\"ready\":true"));
	assert_true(admin_has(&a, "\"version\":\""));
	assert_true(admin_has(&a, "\"started_at\":\"20"));
	assert_true(admin_has(&a, "\"hosts\":["));
	(void)snprintf(url, sizeof(url), "\"listeners\":[{\"url\":\"%s\",\"tls\":false}]", s->url);
	assert_true(admin_has(&a, url));
	answer_free(&a);
}

static void status_counts_what_is_there(void **state)
{
	struct test_server *s = *state;
	static uint8_t bytes[50000];
	struct tus_upload open;
	struct placed p;
	struct answer a;
	double alive, there;

	admin_ask(s, "GET", "/admin/status", &a);
	alive = admin_number(&a, "uploads.alive");
	there = admin_number(&a, "bytes.alive");
	answer_free(&a);
	fill_random(bytes, sizeof(bytes), 4711);
	assert_int_equal(http_place(s->port, "", bytes, sizeof(bytes), &p), 201);
	assert_int_equal(tus_create(s, 100, "", &open), 201);
	admin_ask(s, "GET", "/admin/status", &a);
	assert_int_equal((int)(admin_number(&a, "uploads.alive") - alive), 2);
	assert_int_equal((int)(admin_number(&a, "bytes.alive") - there), sizeof(bytes));
	assert_int_equal((int)admin_number(&a, "uploads.open"), 1);
	answer_free(&a);
	assert_int_equal(tus_delete(&open), 204);
	assert_int_equal(http_status(s->port, "DELETE", "/v1/media/", p.manage), 204);
	admin_ask(s, "GET", "/admin/status", &a);
	assert_int_equal((int)admin_number(&a, "uploads.alive"), (int)alive);
	assert_int_equal((int)admin_number(&a, "bytes.alive"), (int)there);
	assert_int_equal((int)admin_number(&a, "uploads.open"), 0);
	answer_free(&a);
}

static void stats_has_what_metrics_has(void **state)
{
	struct test_server *s = *state;
	struct answer a;

	admin_ask(s, "GET", "/admin/stats", &a);
	assert_status(&a, 200);
	assert_true(admin_number(&a, "restante_uploads_finished_total") >= 0);
	assert_true(admin_number(&a, "restante_disk_free_bytes") > 0);
	assert_true(admin_number(&a, "restante_admin_refused_total") >= 0);
	answer_free(&a);
}

static void running_config_is_a_file_that_is_taken(void **state)
{
	struct test_server *s = *state;
	char out[4096];
	struct answer a;

	admin_ask(s, "GET", "/admin/running-config", &a);
	assert_status(&a, 200);
	assert_true(admin_has(&a, "min_free = 0"));
	server_configure(s, (const char *)a.body);
	assert_int_equal(server_command(s, "--check-config", out, sizeof(out)), 0);
	server_configure(s, CONF);
	answer_free(&a);
}

/* ---- reload ---- */

static void a_reload_takes_up_what_it_can_and_names_the_rest(void **state)
{
	struct test_server *s = *state;
	static uint8_t bytes[30000];
	struct placed p;
	struct answer a;

	server_configure(s, CONF "fetch { workers = 3 }\n");
	admin_ask(s, "POST", "/admin/reload", &a);
	assert_status(&a, 200);
	assert_true(admin_has(&a, "{\"needs_restart\":[\"fetch.workers\"]}"));
	answer_free(&a);
	server_configure(s, "upload { min_free = 0; max = 20kb }\nexpiry { interval = 0 }\n");
	admin_ask(s, "POST", "/admin/reload", &a);
	assert_status(&a, 200);
	assert_true(admin_has(&a, "{\"needs_restart\":[]}"));
	answer_free(&a);
	assert_int_equal(http_place(s->port, "", bytes, sizeof(bytes), &p), 413);
	server_configure(s, CONF);
	assert_int_equal(admin_status(s, "POST", "/admin/reload"), 200);
	assert_int_equal(http_place(s->port, "", bytes, sizeof(bytes), &p), 201);
}

static void a_bad_reload_changes_nothing_and_says_why(void **state)
{
	struct test_server *s = *state;
	static uint8_t bytes[30000];
	struct placed p;
	struct answer a;

	server_configure(
		s, "upload { min_free = 0; max = 20kb; nonsense = 1 }\nhttp { loops = no }\n");
	admin_ask(s, "POST", "/admin/reload", &a);
	assert_status(&a, 422);
	assert_true(admin_has(&a, "urn:restante:problem:reload-failed"));
	assert_true(admin_has(&a, "\"problems\":["));
	assert_true(admin_has(&a, "nonsense"));
	assert_true(admin_has(&a, "http.loops"));
	answer_free(&a);
	assert_int_equal(http_place(s->port, "", bytes, sizeof(bytes), &p), 201);
	server_configure(s, CONF);
	assert_int_equal(admin_status(s, "POST", "/admin/reload"), 200);
}

static void a_reload_of_what_is_in_force_leaves_nothing_behind(void **state)
{
	struct test_server *s = *state;
	uint64_t before;

	if (getenv("SAN") != NULL && getenv("SAN")[0] != '\0')
		skip(); /* memory that is freed stays with the sanitizer for a while */
	for (int i = 0; i < 50; i++)
		assert_int_equal(admin_status(s, "POST", "/admin/reload"), 200);
	before = server_rss(s);
	for (int i = 0; i < 400; i++)
		assert_int_equal(admin_status(s, "POST", "/admin/reload"), 200);
	assert_true(server_rss(s) < before + (4u << 20)); /* 12 MiB, were all of them kept */
}

/* What running-config and a reload say of listeners, which cannot change while it runs. */
static void assert_listens(struct test_server *s, const char *line, const char *needs_restart)
{
	char url[96];
	struct answer a;

	admin_ask(s, "POST", "/admin/reload", &a);
	assert_status(&a, 200);
	assert_string_equal((const char *)a.body, needs_restart);
	answer_free(&a);
	admin_ask(s, "GET", "/admin/running-config", &a);
	assert_true(admin_has(&a, line));
	(void)snprintf(url, sizeof(url), "# listening on %s\n", s->url);
	assert_true(admin_has(&a, url));
	answer_free(&a);
}

static void listeners_stay_what_they_are_until_a_restart(void **state)
{
	static const char first[] = CONF "listen = \"127.0.0.1:0\"\n";
	static const char line[] = "\nlisten = [ \"127.0.0.1:0\" ]\n";
	static const char differ[] = "{\"needs_restart\":[\"listen\"]}";
	struct test_server s;

	(void)state;
	server_start(&s, &(struct test_server_options){ .config = first, .listen = "" });
	assert_listens(&s, line, "{\"needs_restart\":[]}");
	server_configure(&s, CONF "listen = \"127.0.0.1:1\"\n");
	assert_listens(&s, line, differ);
	assert_listens(&s, line, differ);
	server_configure(&s, first);
	assert_listens(&s, line, "{\"needs_restart\":[]}");
	server_remove(&s);
}

/* ---- keys ---- */

/* The number of the key that made a token: its second byte. */
static int key_of(const char *token)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const int second = (int)(strchr(digits, token[1]) - digits);
	const int third = (int)(strchr(digits, token[2]) - digits);

	return (second & 15) << 4 | third >> 2;
}

static void a_fresh_key_mints_at_once_and_old_tokens_stay_good(void **state)
{
	struct test_server *s = *state;
	static const uint8_t bytes[] = "sealed";
	struct placed before, after;
	struct answer a;
	int key;

	assert_int_equal(http_place(s->port, "", bytes, sizeof(bytes), &before), 201);
	admin_ask(s, "POST", "/admin/keys/rotate", &a);
	assert_status(&a, 200);
	key = (int)admin_number(&a, "key");
	answer_free(&a);
	assert_int_equal(http_place(s->port, "", bytes, sizeof(bytes), &after), 201);
	assert_int_not_equal(key_of(before.token), key);
	assert_int_equal(key_of(after.token), key);
	assert_true(http_has(s->port, before.token, bytes, sizeof(bytes)));
	assert_true(http_has(s->port, after.token, bytes, sizeof(bytes)));
	assert_int_equal(server_stop(s), 0);
	server_again(s);
	assert_true(http_has(s->port, before.token, bytes, sizeof(bytes)));
	assert_true(http_has(s->port, after.token, bytes, sizeof(bytes)));
}

/* The settings of today do not say how long tokens of earlier were made to last. */
static void a_key_outlives_the_times_that_were_allowed(void **state)
{
	struct test_server *s = *state;
	static const uint8_t bytes[] = "sealed";
	struct placed before;

	assert_int_equal(http_place(s->port, "", bytes, sizeof(bytes), &before), 201);
	server_configure(s, "upload { min_free = 0; ttl_photo = 1s; ttl_video = 1s; ttl_voice = 1s;"
			    " ttl_file = 1s; ttl_max = 1s }\nexpiry { interval = 0 }\n");
	assert_int_equal(admin_status(s, "POST", "/admin/reload"), 200);
	assert_int_equal(admin_status(s, "POST", "/admin/keys/rotate"), 200);
	client_nap(3000);
	assert_int_equal(admin_status(s, "POST", "/admin/keys/rotate"), 200);
	assert_true(http_has(s->port, before.token, bytes, sizeof(bytes)));
}

/* ---- backup ---- */

static bool is_there(const char *folder, const char *name)
{
	char path[256];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return lstat(path, &st) == 0;
}

/* Starts a server on a copy of a snapshot, for what it has. */
static void start_copy(struct test_server *copy, const char *path)
{
	char line[512];

	server_start(copy, &(struct test_server_options){ .config = CONF });
	assert_int_equal(server_stop(copy), 0);
	(void)snprintf(line, sizeof(line),
		       "rm -r %s/data && cp -r %s %s/data && rm %s/data/snapshot.json", copy->dir,
		       path, copy->dir, copy->dir);
	assert_int_equal(system(line), 0);
	server_again(copy);
}

static void a_snapshot_has_what_was_there_and_goes_when_told(void **state)
{
	struct test_server *s = *state;
	struct test_server copy;
	static uint8_t bytes[300000];
	struct placed before, after;
	char name[32], path[160], target[96];
	struct answer a;

	fill_random(bytes, sizeof(bytes), 1);
	assert_int_equal(http_place(s->port, "", bytes, sizeof(bytes), &before), 201);
	admin_ask(s, "POST", "/admin/backup", &a);
	assert_status(&a, 200);
	assert_true(answer_json(&a, "snapshot", name, sizeof(name)));
	assert_true(answer_json(&a, "path", path, sizeof(path)));
	assert_true(admin_number(&a, "bytes") > sizeof(bytes));
	answer_free(&a);
	assert_int_equal(path[0], '/');
	assert_true(is_there(path, "keys"));
	assert_true(is_there(path, "store/CURRENT"));
	assert_true(is_there(path, "snapshot.json"));

	assert_int_equal(http_place(s->port, "", bytes, 1000, &after), 201);
	start_copy(&copy, path);
	assert_true(http_has(copy.port, before.token, bytes, sizeof(bytes)));
	assert_int_equal(http_status(copy.port, "GET", "/v1/media/", after.token), 404);
	server_remove(&copy);

	(void)snprintf(target, sizeof(target), "/admin/backup/%s", name);
	assert_int_equal(admin_status(s, "DELETE", target), 204);
	assert_false(is_there(path, "."));
	assert_int_equal(admin_status(s, "DELETE", target), 404);
}

static void one_snapshot_at_a_time(void **state)
{
	struct test_server *s = *state;
	char name[32], again[32], target[96];
	struct answer a;

	admin_ask(s, "POST", "/admin/backup", &a);
	assert_status(&a, 200);
	assert_true(answer_json(&a, "snapshot", name, sizeof(name)));
	answer_free(&a);
	admin_ask(s, "POST", "/admin/backup", &a);
	assert_status(&a, 409);
	assert_true(answer_json(&a, "snapshot", again, sizeof(again)));
	assert_string_equal(again, name);
	answer_free(&a);
	(void)snprintf(target, sizeof(target), "/admin/backup/%s", name);
	assert_int_equal(admin_status(s, "DELETE", target), 204);
	assert_int_equal(admin_status(s, "POST", "/admin/backup"), 200);
}

/* Whether it goes within ten seconds. */
static bool goes(const char *folder, const char *name)
{
	for (unsigned i = 0; i < 500 && is_there(folder, name); i++)
		client_nap(20);
	return !is_there(folder, name);
}

static unsigned count_snapshots(const struct test_server *s)
{
	char path[160];
	const struct dirent *d;
	unsigned n = 0;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "%s/data/snapshots", s->dir);
	dir = opendir(path);
	while (dir != NULL && (d = readdir(dir)) != NULL)
		n += d->d_name[0] != '.';
	if (dir != NULL)
		(void)closedir(dir);
	return n;
}

static bool await_snapshots(const struct test_server *s, unsigned count)
{
	for (unsigned i = 0; i < 1000 && count_snapshots(s) != count; i++)
		client_nap(10);
	return count_snapshots(s) == count;
}

/* Nobody knows its name. */
static void a_snapshot_whose_request_was_left_is_removed(void **state)
{
	struct test_server s;
	struct client *c;

	(void)state;
	server_start(&s, &(struct test_server_options){ .config = CONF,
							.faults = "inner=rocksdb;delay_ms=500" });
	c = admin_open(&s);
	assert_true(client_sendf(c, "POST /admin/backup HTTP/1.1\r\nHost: x\r\n"
				    "Content-Length: 0\r\n\r\n"));
	assert_true(await_snapshots(&s, 1)); /* it has begun, and takes a while */
	client_close(c);
	assert_true(server_logs(&s, "event=snapshot_removed reason=unanswered", 10000));
	assert_true(await_snapshots(&s, 0));
	assert_int_equal(admin_status(&s, "POST", "/admin/backup"), 200);
	server_remove(&s);
}

static void make_stale(const struct test_server *s, const char *name)
{
	char line[256];

	(void)snprintf(
		line, sizeof(line),
		"mkdir -p %s/data/snapshots/%s/store && echo x >%s/data/snapshots/%s/store/y",
		s->dir, name, s->dir, name);
	assert_int_equal(system(line), 0);
}

static void a_snapshot_that_nobody_gave_back_is_in_nobodys_way(void **state)
{
	static const char *const names[] = { "data/snapshots/2001-01-01T00-00-00Z",
					     "data/snapshots/2099-12-31T23-59-59Z" };
	struct test_server *s = *state;

	for (unsigned i = 0; i < 2; i++)
		make_stale(s, names[i] + sizeof("data/snapshots"));
	assert_int_equal(admin_status(s, "POST", "/admin/backup"), 200);
	assert_int_equal(count_snapshots(s), 1);
	for (unsigned i = 0; i < 2; i++)
		make_stale(s, names[i] + sizeof("data/snapshots"));
	server_configure(s, "upload { min_free = 0 }\nexpiry { interval = 1s }\n");
	assert_int_equal(admin_status(s, "POST", "/admin/reload"), 200);
	for (unsigned i = 0; i < 2; i++)
		assert_true(goes(s->dir, names[i]));
	assert_int_equal(count_snapshots(s), 1); /* it may be in use */
}

static void a_start_removes_the_snapshots_of_the_run_before(void **state)
{
	struct test_server *s = *state;

	assert_int_equal(admin_status(s, "POST", "/admin/backup"), 200);
	assert_true(is_there(s->dir, "data/snapshots"));
	server_kill(s);
	server_again(s);
	assert_false(is_there(s->dir, "data/snapshots"));
	assert_int_equal(admin_status(s, "POST", "/admin/backup"), 200);
}

static void only_names_of_snapshots_are_removed(void **state)
{
	static const char *const names[] = {
		"",
		".",
		"..",
		"..%2fstore",
		"../store",
		"../keys",
		"%2e%2e",
		"store",
		"keys",
		"2026-01-01T00-00-00",
		"2026-01-01T00-00-00Zx",
		"2026-01-01T00-00-00z",
		"2026-01-01T00:00:00Z",
		"2026-01-01T00-00-0%5aZ",
		"2026-01-01T00-00-00Z/store",
		"2026-01-01T00-00-00Z",
	};
	struct test_server *s = *state;
	char target[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(target, sizeof(target), "/admin/backup/%s", names[i]);
		if (admin_status(s, "DELETE", target) != 404)
			fail_msg("%s", target);
	}
	assert_true(is_there(s->dir, "data/keys"));
	assert_true(is_there(s->dir, "data/store"));
}

static int place_and_check(const struct test_server *s, unsigned i, char token[52])
{
	static uint8_t bytes[20000];
	struct placed p;

	fill_random(bytes, sizeof(bytes), i);
	if (http_place(s->port, "", bytes, sizeof(bytes), &p) != 201)
		return 0;
	memcpy(token, p.token, 52);
	return 1;
}

/* Uploads go on, and those acknowledged before it are in it. */
static void a_snapshot_is_made_while_clients_write(void **state)
{
	struct test_server *s = *state;
	struct test_server copy;
	char first[100][52], path[160];
	static uint8_t bytes[20000];
	struct answer a;
	int status;
	pid_t pid;

	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(place_and_check(s, i, first[i]), 1);
	pid = fork();
	if (pid == 0) {
		char token[52];
		int all = 1;

		for (unsigned i = 1000; i < 1400; i++)
			all = all && place_and_check(s, i, token);
		_exit(!all);
	}
	client_nap(50);
	admin_ask(s, "POST", "/admin/backup", &a);
	assert_status(&a, 200);
	assert_true(answer_json(&a, "path", path, sizeof(path)));
	answer_free(&a);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	start_copy(&copy, path);
	for (unsigned i = 0; i < 100; i++) {
		fill_random(bytes, sizeof(bytes), i);
		assert_true(http_has(copy.port, first[i], bytes, sizeof(bytes)));
	}
	server_remove(&copy);
}

/* ---- stop ---- */

static void stop_is_answered_and_then_done(void **state)
{
	struct test_server *s = *state;
	struct answer a;

	admin_ask(s, "POST", "/admin/stop", &a);
	assert_status(&a, 202);
	assert_true(admin_has(&a, "{\"stopping\":true}"));
	answer_free(&a);
	assert_int_equal(server_wait(s, 10000), 0);
	server_again(s);
}

/* As SIGTERM does. */
static void stop_lets_a_running_upload_finish(void **state)
{
	struct test_server *s = *state;
	static uint8_t bytes[100000];
	struct client *c = client_open(s->port);
	struct answer a;

	fill_random(bytes, sizeof(bytes), 815);
	assert_true(client_sendf(
		c, "PUT /v1/media HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n"));
	assert_true(client_send(c, bytes, 50000));
	client_nap(50);
	assert_int_equal(admin_status(s, "POST", "/admin/stop"), 202);
	client_nap(200);
	assert_true(client_send(c, bytes + 50000, 50000));
	client_answer(c, false, &a, NULL);
	assert_status(&a, 201);
	answer_free(&a);
	client_close(c);
	assert_int_equal(server_wait(s, 10000), 0);
	server_again(s);
}

/* Also slowly, and over a connection that has been there; and who asks twice does not hurry it. */
static void the_operator_is_answered_until_the_end(void **state)
{
	struct test_server *s = *state;
	struct client *c = client_open(s->port), *before = admin_open(s), *slow = admin_open(s);
	struct answer a;

	assert_true(client_sendf(
		c, "PUT /v1/media HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nhalf"));
	client_nap(50);
	assert_int_equal(admin_status(s, "POST", "/admin/stop"), 202);
	assert_true(server_logs(s, "event=stopping", 3000));
	assert_true(client_sendf(slow, "GET /admin/stats HTTP/1.1\r\n"));
	for (int i = 0; i < 50; i++) {
		admin_ask(s, "GET", "/admin/status", &a);
		assert_status(&a, 200);
		assert_true(admin_has(&a, "\"ready\":false"));
		answer_free(&a);
		assert_int_equal(admin_status(s, "POST", "/admin/stop"), 202);
	}
	assert_true(client_sendf(before, "GET /admin/status HTTP/1.1\r\nHost: t\r\n\r\n"));
	client_answer(before, false, &a, NULL);
	assert_status(&a, 200);
	answer_free(&a);
	assert_true(client_sendf(slow, "Host: t\r\n\r\n"));
	client_answer(slow, false, &a, NULL);
	assert_status(&a, 200);
	answer_free(&a);
	client_nap(100);
	assert_true(server_alive(s));
	assert_true(client_send(c, "whole", 5));
	client_answer(c, false, &a, NULL);
	assert_status(&a, 201);
	answer_free(&a);
	client_close(c);
	client_close(before);
	client_close(slow);
	assert_int_equal(server_wait(s, 10000), 0);
	server_again(s);
}

/* Who is connected and asks nothing. */
static void an_idle_operator_does_not_hold_up_the_end(void **state)
{
	struct test_server *s = *state;
	struct client *idle = admin_open(s);
	const int64_t began = clock_mono_ms();

	client_nap(50);
	assert_int_equal(admin_status(s, "POST", "/admin/stop"), 202);
	assert_int_equal(server_wait(s, 10000), 0);
	assert_true(clock_mono_ms() - began < 5000);
	client_close(idle);
	server_again(s);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(clients_of_the_public_listener_find_none_of_it),
		TEST(each_resource_has_one_method),
		TEST(other_users_are_not_heard),
		TEST(the_socket_is_for_its_owner_only),
		TEST(status_tells_how_the_server_is),
		TEST(status_counts_what_is_there),
		TEST(stats_has_what_metrics_has),
		TEST(running_config_is_a_file_that_is_taken),
		TEST(a_reload_takes_up_what_it_can_and_names_the_rest),
		TEST(a_bad_reload_changes_nothing_and_says_why),
		TEST(a_reload_of_what_is_in_force_leaves_nothing_behind),
		TEST(listeners_stay_what_they_are_until_a_restart),
		TEST(a_fresh_key_mints_at_once_and_old_tokens_stay_good),
		TEST(a_key_outlives_the_times_that_were_allowed),
		TEST(a_snapshot_has_what_was_there_and_goes_when_told),
		TEST(one_snapshot_at_a_time),
		TEST(a_snapshot_whose_request_was_left_is_removed),
		TEST(a_snapshot_that_nobody_gave_back_is_in_nobodys_way),
		TEST(a_start_removes_the_snapshots_of_the_run_before),
		TEST(only_names_of_snapshots_are_removed),
		TEST(a_snapshot_is_made_while_clients_write),
		TEST(stop_is_answered_and_then_done),
		TEST(stop_lets_a_running_upload_finish),
		TEST(the_operator_is_answered_until_the_end),
		TEST(an_idle_operator_does_not_hold_up_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
