/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	HEADERS_MAX = 64 * 1024, /* bytes of an answer's header lines */
	CONNECT_MS = 5000,
	CONNECTIONS_KEPT = 32, /* idle ones; libcurl would close a burst's */
};

struct fetcher {
	CURLM *multi;
	uv_loop_t *loop;
	uv_timer_t timer;
	uv_timer_t idle_timer; /* until the first of the fetches is due */
	int open_handles;
	const struct fetch_path *path; /* NULL: none needed */
	/* libcurl is at work, and takes no request and lets none go. */
	bool busy;
	struct fetch *fetches;
};

struct fetch {
	struct fetcher *fetcher;
	struct fetch *next, **link; /* of the fetcher's */
	CURL *easy;
	enum fetch_state {
		FETCH_ASKING,  /* its path is being found */
		FETCH_WAITING, /* for libcurl to take it */
		FETCH_RUNNING,
		FETCH_CANCELLED, /* once libcurl lets it go */
	} state;
	struct curl_slist *headers;
	struct curl_slist *resolved;
	struct curl_slist *connect_to;
	void *asked; /* not begun yet: the path is being found */
	char *answer;
	size_t len, size, max, header_len;
	bool too_long;
	bool by_socket; /* of the file system, not of a network */
	char *etag;
	char error[CURL_ERROR_SIZE];
	long idle_ms;
	uint64_t heard_ms; /* when the last of it arrived */
	void (*data)(void *arg, const char *piece, size_t len);
	void (*begun)(void *arg);
	void (*done)(void *arg, const struct fetch_result *result);
	void *arg;
};

/* One descriptor that libcurl waits for. */
struct watched {
	uv_poll_t poll;
	struct fetcher *fetcher;
	curl_socket_t fd;
};

static void fetch_add(struct fetch *f)
{
	f->link = &f->fetcher->fetches;
	f->next = *f->link;
	if (f->next)
		f->next->link = &f->next;
	*f->link = f;
}

static void fetch_free(struct fetch *f)
{
	if (f->asked)
		f->fetcher->path->cancel(f->asked);
	*f->link = f->next;
	if (f->next)
		f->next->link = f->link;
	curl_multi_remove_handle(f->fetcher->multi, f->easy);
	curl_easy_cleanup(f->easy);
	curl_slist_free_all(f->headers);
	curl_slist_free_all(f->resolved);
	curl_slist_free_all(f->connect_to);
	free(f->answer);
	free(f->etag);
	free(f);
}

/* Why a request failed. Of a Unix socket libcurl says a host and a port. */
static const char *failure(const struct fetch *f, CURLcode code)
{
	long err = 0;

	if (f->too_long)
		return "the answer is too long";
	if (f->by_socket && code == CURLE_COULDNT_CONNECT)
		curl_easy_getinfo(f->easy, CURLINFO_OS_ERRNO, &err);
	if (err)
		return strerror((int)err);
	return f->error[0] ? f->error : curl_easy_strerror(code);
}

static void fetch_end(struct fetch *f, CURLcode code)
{
	struct fetch_result result = {
		.body = f->answer ? f->answer : "",
		.len = f->len,
		.etag = f->etag,
	};
	curl_off_t retry_after = 0;

	curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &result.status);
	curl_easy_getinfo(f->easy, CURLINFO_RETRY_AFTER, &retry_after);
	result.retry_after_s = (long)retry_after;
	if (code != CURLE_OK || f->too_long)
		result.error = failure(f, code);
	f->done(f->arg, &result);
	fetch_free(f);
}

static void fetch_fail(struct fetch *f, const char *error)
{
	struct fetch_result result = {.body = "", .error = error};

	f->done(f->arg, &result);
	fetch_free(f);
}

static void idle_watch(struct fetcher *fetcher);

static int fetch_run(struct fetch *f)
{
	f->state = FETCH_RUNNING;
	f->heard_ms = uv_now(f->fetcher->loop);
	if (f->idle_ms)
		idle_watch(f->fetcher);
	return curl_multi_add_handle(f->fetcher->multi, f->easy) ? -EIO : 0;
}

/* The first that was put off while libcurl was at work; NULL: none. */
static struct fetch *put_off(const struct fetcher *fetcher)
{
	struct fetch *f = fetcher->fetches;

	while (f && f->state != FETCH_WAITING && f->state != FETCH_CANCELLED)
		f = f->next;
	return f;
}

static void settle(struct fetcher *fetcher)
{
	struct fetch *f;

	while ((f = put_off(fetcher))) {
		if (f->state == FETCH_CANCELLED)
			fetch_free(f);
		else if (fetch_run(f))
			fetch_fail(f, "cannot start a request");
	}
}

static void reap(struct fetcher *fetcher)
{
	struct fetch *f;
	CURLMsg *message;
	int left;

	settle(fetcher);
	while ((message = curl_multi_info_read(fetcher->multi, &left))) {
		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &f);
		fetch_end(f, message->data.result);
	}
}

static void run(struct fetcher *fetcher, curl_socket_t fd, int flags)
{
	int running;

	fetcher->busy = true;
	curl_multi_socket_action(fetcher->multi, fd, flags, &running);
	fetcher->busy = false;
	reap(fetcher);
}

static void on_timeout(uv_timer_t *timer)
{
	run(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int set_timeout(CURLM *multi, long timeout_ms, void *arg)
{
	struct fetcher *fetcher = arg;

	(void)multi;
	if (timeout_ms < 0)
		uv_timer_stop(&fetcher->timer);
	else
		uv_timer_start(&fetcher->timer, on_timeout,
			       (uint64_t)timeout_ms, 0);
	return 0;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct watched *w = poll->data;
	int flags = 0;

	if (status < 0)
		flags = CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	run(w->fetcher, w->fd, flags);
}

static void on_watched_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg,
			void *socket_arg)
{
	struct fetcher *fetcher = arg;
	struct watched *w = socket_arg;
	int events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w)
			uv_close((uv_handle_t *)&w->poll, on_watched_closed);
		curl_multi_assign(fetcher->multi, fd, NULL);
		return 0;
	}
	if (!w) {
		w = calloc(1, sizeof(*w));
		if (!w || uv_poll_init(fetcher->loop, &w->poll, fd)) {
			free(w);
			return -1;
		}
		w->poll.data = w;
		w->fetcher = fetcher;
		w->fd = fd;
		curl_multi_assign(fetcher->multi, fd, w);
	}
	if (what & CURL_POLL_IN)
		events |= UV_READABLE;
	if (what & CURL_POLL_OUT)
		events |= UV_WRITABLE;
	return uv_poll_start(&w->poll, events, on_ready) ? -1 : 0;
}

/* Requests that nothing arrives for */

static void on_idle(uv_timer_t *timer)
{
	struct fetcher *fetcher = timer->data;
	uint64_t now = uv_now(fetcher->loop);
	struct fetch *f = fetcher->fetches;
	char error[64];

	while (f && (f->state != FETCH_RUNNING || f->idle_ms == 0 ||
		     now - f->heard_ms < (uint64_t)f->idle_ms))
		f = f->next;
	if (f) {
		snprintf(error, sizeof(error), "nothing arrived for %ld ms",
			 f->idle_ms);
		fetch_fail(f, error);
	}
	idle_watch(fetcher);
}

static void idle_watch(struct fetcher *fetcher)
{
	uint64_t now = uv_now(fetcher->loop), next = UINT64_MAX;

	for (struct fetch *f = fetcher->fetches; f; f = f->next) {
		uint64_t due = f->heard_ms + (uint64_t)f->idle_ms;

		if (f->state == FETCH_RUNNING && f->idle_ms && due < next)
			next = due;
	}
	if (next != UINT64_MAX)
		uv_timer_start(&fetcher->idle_timer, on_idle,
			       next > now ? next - now : 0, 0);
}

int fetcher_open(struct fetcher **out, uv_loop_t *loop,
		 const struct fetch_path *path)
{
	struct fetcher *fetcher = calloc(1, sizeof(*fetcher));

	if (!fetcher)
		return -ENOMEM;
	fetcher->loop = loop;
	fetcher->path = path;
	/* Here, for those who fetch alone: TLS and all take megabytes. Further
	 * calls only count. */
	if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
		fetcher->multi = curl_multi_init();
	if (!fetcher->multi) {
		free(fetcher);
		return -ENOMEM;
	}
	uv_timer_init(loop, &fetcher->timer);
	uv_timer_init(loop, &fetcher->idle_timer);
	fetcher->timer.data = fetcher;
	fetcher->idle_timer.data = fetcher;
	fetcher->open_handles = 2;
	curl_multi_setopt(fetcher->multi, CURLMOPT_MAXCONNECTS,
			  (long)CONNECTIONS_KEPT);
	curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETFUNCTION,
			  watch_socket);
	curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETDATA, fetcher);
	curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERFUNCTION, set_timeout);
	curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERDATA, fetcher);
	*out = fetcher;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct fetcher *fetcher = handle->data;

	if (--fetcher->open_handles == 0)
		free(fetcher);
}

void fetcher_close(struct fetcher *fetcher)
{
	if (!fetcher)
		return;
	curl_multi_cleanup(fetcher->multi);
	uv_close((uv_handle_t *)&fetcher->timer, on_closed);
	uv_close((uv_handle_t *)&fetcher->idle_timer, on_closed);
}

static bool is_success(const struct fetch *f)
{
	long status = 0;

	curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	return status >= 200 && status < 300;
}

static size_t on_body(char *data, size_t one, size_t n, void *arg)
{
	struct fetch *f = arg;
	size_t size = f->len + n + 1;
	char *answer;

	(void)one;
	f->heard_ms = uv_now(f->fetcher->loop);
	if (f->state == FETCH_CANCELLED)
		return 0;
	if (f->data && is_success(f)) {
		f->data(f->arg, data, n);
		return n;
	}
	if (n > f->max - f->len) {
		f->too_long = true;
		return 0;
	}
	if (size > f->size) {
		if (size < 2 * f->size)
			size = 2 * f->size;
		answer = realloc(f->answer, size);
		if (!answer)
			return 0;
		f->answer = answer;
		f->size = size;
	}
	memcpy(f->answer + f->len, data, n);
	f->len += n;
	f->answer[f->len] = '\0';
	return n;
}

static size_t on_header(char *data, size_t one, size_t n, void *arg)
{
	static const char name[] = "etag:";
	struct fetch *f = arg;
	size_t at = sizeof(name) - 1, end = n;

	(void)one;
	f->heard_ms = uv_now(f->fetcher->loop);
	f->header_len += n;
	if (f->state == FETCH_CANCELLED)
		return 0;
	if (f->header_len > HEADERS_MAX) {
		f->too_long = true;
		return 0;
	}
	if (n <= 2 && f->begun && is_success(f))
		f->begun(f->arg);
	if (n <= at || strncasecmp(data, name, at) != 0)
		return n;
	while (at < end && (data[at] == ' ' || data[at] == '\t'))
		at++;
	while (end > at && (data[end - 1] == '\r' || data[end - 1] == '\n' ||
			    data[end - 1] == ' '))
		end--;
	free(f->etag);
	f->etag = strndup(data + at, end - at);
	return n;
}

static void fetch_options(struct fetch *f, const struct fetch_request *request)
{
	CURL *easy = f->easy;

	curl_easy_setopt(easy, CURLOPT_URL, request->url);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, f);
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, request->timeout_ms);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	/* A name that is still being looked up when its time is over must not
	 * hold up the loop until getaddrinfo(3) gives up: we may be the ones
	 * who have to answer it. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "opensandbox-egress");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
			 request->http2 ? (long)CURL_HTTP_VERSION_2TLS
					: (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_PIPEWAIT, (long)request->http2);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, f);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, f);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, f->error);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, f->headers);
	f->by_socket = request->socket;
	if (request->socket)
		curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH,
				 request->socket);
	if (request->socket || request->direct)
		curl_easy_setopt(easy, CURLOPT_PROXY, "");
	if (request->body) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
				 request->body_len
					 ? (curl_off_t)request->body_len
					 : (curl_off_t)strlen(request->body));
		curl_easy_setopt(easy,
				 request->body_lent ? CURLOPT_POSTFIELDS
						    : CURLOPT_COPYPOSTFIELDS,
				 request->body);
	}
}

/* By value, so that a connection made for other credentials is not used. */
static void blob_option(CURL *easy, CURLoption option, const char *text)
{
	struct curl_blob blob = {.data = (void *)text,
				 .len = text ? strlen(text) : 0,
				 .flags = CURL_BLOB_COPY};

	if (text)
		curl_easy_setopt(easy, option, &blob);
}

static void tls_options(CURL *easy, const struct fetch_tls *tls)
{
	blob_option(easy, CURLOPT_CAINFO_BLOB, tls->authorities);
	blob_option(easy, CURLOPT_SSLCERT_BLOB, tls->certificate);
	blob_option(easy, CURLOPT_SSLKEY_BLOB, tls->key);
	if (tls->unverified) {
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
}

static bool fetch_connect_to(struct fetch *f, const char *place)
{
	char entry[512];
	int len = snprintf(entry, sizeof(entry), "::%s", place);

	if (len < 0 || (size_t)len >= sizeof(entry))
		return false;
	f->connect_to = curl_slist_append(NULL, entry);
	curl_easy_setopt(f->easy, CURLOPT_CONNECT_TO, f->connect_to);
	return f->connect_to != NULL;
}

static bool fetch_headers(struct fetch *f, const struct fetch_request *request)
{
	/* Empty: libcurl is not to wait for 100 Continue. */
	f->headers = curl_slist_append(NULL, "Expect:");
	for (size_t i = 0; i < FETCH_HEADERS_MAX && request->headers[i]; i++) {
		if (!f->headers ||
		    !curl_slist_append(f->headers, request->headers[i]))
			return false;
	}
	return f->headers != NULL;
}

/* By a path of its own */

static curl_socket_t open_socket(void *arg, curlsocktype purpose,
				 struct curl_sockaddr *address)
{
	const struct fetch_path *path = arg;
	int fd = path->socket(path->arg, address->socktype, address->protocol,
			      &address->addr);

	(void)purpose;
	return fd < 0 ? CURL_SOCKET_BAD : fd;
}

/* A proxy's address would be known to nobody but libcurl. */
static void path_options(struct fetch *f)
{
	curl_easy_setopt(f->easy, CURLOPT_PROXY, "");
	curl_easy_setopt(f->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(f->easy, CURLOPT_OPENSOCKETDATA,
			 (void *)f->fetcher->path);
}

/* entry NULL: nothing needs to be resolved. */
static int begin(struct fetch *f, const char *entry)
{
	if (entry) {
		f->resolved = curl_slist_append(NULL, entry);
		if (!f->resolved)
			return -ENOMEM;
		curl_easy_setopt(f->easy, CURLOPT_RESOLVE, f->resolved);
	}
	f->state = FETCH_WAITING;
	return f->fetcher->busy ? 0 : fetch_run(f);
}

static void on_path(void *arg, const char *entry, const char *error)
{
	struct fetch *f = arg;

	f->asked = NULL;
	if (!error && begin(f, entry))
		error = "cannot start a request";
	if (error)
		fetch_fail(f, error);
}

static int begin_by_path(struct fetch *f, const char *url)
{
	const struct fetch_path *path = f->fetcher->path;
	char *entry;
	int ret;

	path_options(f);
	ret = path->find(path->arg, url, &entry, on_path, f, &f->asked);
	if (ret != 1)
		return ret;
	ret = begin(f, entry);
	free(entry);
	return ret;
}

int fetch_start(struct fetcher *fetcher, const struct fetch_request *request,
		void (*done)(void *arg, const struct fetch_result *result),
		void *arg, struct fetch **out)
{
	struct fetch *f = calloc(1, sizeof(*f));
	int err;

	if (!f)
		return -ENOMEM;
	f->fetcher = fetcher;
	f->max = request->answer_max;
	f->idle_ms = request->idle_ms;
	f->data = request->data;
	f->begun = request->begun;
	f->done = done;
	f->arg = arg;
	f->easy = curl_easy_init();
	if (!f->easy) {
		free(f);
		return -ENOMEM;
	}
	fetch_add(f);
	if (!fetch_headers(f, request) ||
	    (request->connect_to &&
	     !fetch_connect_to(f, request->connect_to))) {
		fetch_free(f);
		return -ENOMEM;
	}
	fetch_options(f, request);
	if (request->tls)
		tls_options(f->easy, request->tls);
	err = fetcher->path ? begin_by_path(f, request->url) : begin(f, NULL);
	if (err) {
		fetch_free(f);
		return err;
	}
	*out = f;
	return 0;
}

void fetch_cancel(struct fetch *f)
{
	if (!f)
		return;
	if (f->fetcher->busy)
		f->state = FETCH_CANCELLED;
	else
		fetch_free(f);
}
