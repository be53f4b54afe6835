#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/dialect/choose.h"
#include "server/fetch.h"
#include "server/health.h"
#include "server/manage.h"
#include "server/route.h"

static struct route_match find(enum http_method m, const char *target)
{
	return route_find(m, target, false, false);
}

static void leads_to(enum http_method m, const char *target, const struct handler *h,
		     const char *param)
{
	struct route_match r = find(m, target);

	assert_ptr_equal(r.handler, h);
	assert_int_equal(r.param_len, strlen(param));
	assert_memory_equal(r.param_len > 0 ? r.param : "", param, r.param_len);
}

static void leads_nowhere(const char *target)
{
	struct route_match r = find(HTTP_GET, target);

	if (r.handler != NULL || r.allow != 0)
		fail_msg("\"%s\" leads somewhere", target);
}

static void each_path_has_its_handler(void **state)
{
	(void)state;
	leads_to(HTTP_PUT, "/v1/media", &choose_put_handler, "");
	leads_to(HTTP_POST, "/v1/media", &choose_put_handler, "");
	leads_to(HTTP_GET, "/v1/media", &fetch_handler, "");
	leads_to(HTTP_HEAD, "/v1/media", &fetch_handler, "");
	leads_to(HTTP_GET, "/v1/media/abc", &fetch_handler, "abc");
	leads_to(HTTP_DELETE, "/v1/media/abc", &manage_delete_handler, "abc");
	leads_to(HTTP_POST, "/v1/uploads", &choose_create_handler, "");
	leads_to(HTTP_POST, "/v1/uploads/", &choose_create_handler, "");
	leads_to(HTTP_PUT, "/v1/uploads?kind=photo", &choose_create_handler, "");
	leads_to(HTTP_GET, "/v1/uploads/x", &choose_look_handler, "x");
	leads_to(HTTP_HEAD, "/v1/uploads/x", &choose_look_handler, "x");
	leads_to(HTTP_PATCH, "/v1/uploads/x", &choose_append_handler, "x");
	leads_to(HTTP_DELETE, "/v1/uploads/x", &choose_delete_handler, "x");
	leads_to(HTTP_GET, "/healthz", &healthz_handler, "");
	leads_to(HTTP_HEAD, "/readyz", &readyz_handler, "");
}

static void only_health_and_metrics_are_told_under_any_name(void **state)
{
	static const char *const named[] = { "/v1/media", "/v1/media/x", "/v1/uploads/x", "/x" };

	(void)state;
	assert_true(find(HTTP_GET, "/healthz").any_host);
	assert_true(find(HTTP_PUT, "http://h/readyz").any_host);
	assert_true(route_find(HTTP_GET, "/metrics", false, true).any_host);
	for (size_t i = 0; i < sizeof(named) / sizeof(*named); i++)
		assert_false(find(HTTP_GET, named[i]).any_host);
	assert_false(find(HTTP_OPTIONS, "*").any_host);
}

static void an_absolute_target_has_an_authority(void **state)
{
	static const struct {
		const char *target, *authority;
	} some[] = { { "http://a.example/x", "a.example" },
		     { "HTTPS://a:80?x", "a:80" },
		     { "http://a", "a" },
		     { "http:///x", "" },
		     { "/http://a/", NULL },
		     { "*", NULL },
		     { "ftp://a/", NULL },
		     { "http:/a", NULL } };

	(void)state;
	for (size_t i = 0; i < sizeof(some) / sizeof(*some); i++) {
		size_t n = 99;
		const char *is = route_authority(some[i].target, &n);

		assert_int_equal(is == NULL, some[i].authority == NULL);
		if (is == NULL)
			continue;
		assert_int_equal(n, strlen(some[i].authority));
		assert_memory_equal(is, some[i].authority, n);
	}
}

static void the_query_is_not_looked_at(void **state)
{
	(void)state;
	leads_to(HTTP_PUT, "/v1/media?kind=photo", &choose_put_handler, "");
	leads_to(HTTP_GET, "/v1/media/abc?x=/y/z", &fetch_handler, "abc");
	leads_to(HTTP_GET, "/healthz?", &healthz_handler, "");
}

static void the_absolute_form_is_understood(void **state)
{
	(void)state;
	leads_to(HTTP_GET, "http://t/healthz", &healthz_handler, "");
	leads_to(HTTP_GET, "HTTPS://[::1]:8443/v1/media/abc?x", &fetch_handler, "abc");
	leads_nowhere("http://t");
	leads_nowhere("http://t?/healthz");
	leads_nowhere("ftp://t/healthz");
	leads_nowhere("http:/healthz");
}

static void odd_paths_lead_nowhere(void **state)
{
	static const char *const odd[] = {
		"",
		"*",
		"/",
		"healthz",
		"//healthz",
		"/./healthz",
		"/healthz/",
		"/healthz;x",
		"/%68ealthz",
		"/healthz#f",
		"/HEALTHZ",
		"/v1/media/",
		"/v1/media/a/b",
		"/v1//media",
		"/v1/media//",
		"/v1/mediaabc",
		"/v1/uploadsabc",
		"/v1/../healthz",
		"/metrics",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		leads_nowhere(odd[i]);
}

static void allows(const char *target, const char *want)
{
	struct route_match r = find(HTTP_PATCH, target);
	char text[ROUTE_ALLOW_SIZE];

	assert_null(r.handler);
	route_allow(text, r.allow);
	assert_string_equal(text, want);
}

static void a_known_path_says_what_it_allows(void **state)
{
	char text[ROUTE_ALLOW_SIZE];

	(void)state;
	allows("/v1/media", "GET, HEAD, PUT, POST, OPTIONS");
	allows("/v1/media/x", "GET, HEAD, DELETE, OPTIONS");
	allows("/v1/uploads", "PUT, POST, OPTIONS");
	allows("/healthz", "GET, HEAD, OPTIONS");
	allows("/nowhere", "");
	/* all there are fit */
	route_allow(text, ~0u);
	assert_string_equal(text, "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS");
}

static void options_are_answered_anywhere(void **state)
{
	(void)state;
	assert_non_null(find(HTTP_OPTIONS, "*").handler);
	assert_non_null(find(HTTP_OPTIONS, "/nowhere").handler);
	assert_ptr_equal(find(HTTP_OPTIONS, "/v1/media").handler, find(HTTP_OPTIONS, "*").handler);
}

static void the_operator_has_paths_of_his_own(void **state)
{
	(void)state;
	assert_ptr_equal(route_find(HTTP_GET, "/metrics", true, false).handler, &metrics_handler);
	assert_ptr_equal(route_find(HTTP_GET, "/healthz", true, false).handler, &healthz_handler);
	assert_null(route_find(HTTP_GET, "/v1/media/x", true, true).handler);
	assert_int_equal(route_find(HTTP_PUT, "/v1/media", true, true).allow, 0);
	assert_ptr_equal(route_find(HTTP_GET, "/metrics", false, true).handler, &metrics_handler);
	assert_null(route_find(HTTP_GET, "/metrics", false, false).handler);
}

static void method_names_are_case_sensitive(void **state)
{
	(void)state;
	assert_int_equal(route_method("GET"), HTTP_GET);
	assert_int_equal(route_method("OPTIONS"), HTTP_OPTIONS);
	assert_int_equal(route_method("DELETE"), HTTP_DELETE);
	assert_int_equal(route_method("get"), HTTP_OTHER);
	assert_int_equal(route_method("GETX"), HTTP_OTHER);
	assert_int_equal(route_method("GE"), HTTP_OTHER);
	assert_int_equal(route_method(""), HTTP_OTHER);
	assert_int_equal(route_method("TRACE"), HTTP_OTHER);
	assert_null(find(HTTP_OTHER, "/healthz").handler);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_path_has_its_handler),
		cmocka_unit_test(only_health_and_metrics_are_told_under_any_name),
		cmocka_unit_test(an_absolute_target_has_an_authority),
		cmocka_unit_test(the_query_is_not_looked_at),
		cmocka_unit_test(the_absolute_form_is_understood),
		cmocka_unit_test(odd_paths_lead_nowhere),
		cmocka_unit_test(a_known_path_says_what_it_allows),
		cmocka_unit_test(options_are_answered_anywhere),
		cmocka_unit_test(the_operator_has_paths_of_his_own),
		cmocka_unit_test(method_names_are_case_sensitive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
