/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	TIMEOUT_S = 10,
	URL_SIZE = 512,
	PAGE = 200, /* sandboxes of one list */
	ANSWER_MAX = 2 << 20
};

struct answer {
	char *text;
	size_t len;
};

static size_t take_answer(char *data, size_t one, size_t n, void *arg)
{
	struct answer *a = arg;
	char *wider;

	(void)one;
	if (n > ANSWER_MAX - a->len)
		return 0;
	wider = realloc(a->text, a->len + n + 1);
	if (!wider)
		return 0;
	memcpy(wider + a->len, data, n);
	a->text = wider;
	a->len += n;
	a->text[a->len] = '\0';
	return n;
}

/* path is what follows the host, its arguments among it. */
static int perform(struct agent_call *call, const char *method,
		   const char *path, const char *body, struct answer *answer,
		   long *status)
{
	char url[URL_SIZE + 16], why[CURL_ERROR_SIZE] = "";
	CURL *curl = curl_easy_init();
	CURLcode code;
	long err = 0;

	if (!curl)
		return -ENOMEM;
	snprintf(url, sizeof(url), "http://agent%s", path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, call->socket);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	if (body)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	code = curl_easy_perform(curl);
	/* libcurl would say that it failed to connect to a port. */
	if (code == CURLE_COULDNT_CONNECT)
		curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &err);
	if (err)
		snprintf(why, sizeof(why), "%s", strerror((int)err));
	if (code == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
	else
		snprintf(call->message, sizeof(call->message),
			 "the agent at %.100s: %s", call->socket,
			 why[0] ? why : curl_easy_strerror(code));
	curl_easy_cleanup(curl);
	return code == CURLE_OK ? 0 : -EAGAIN;
}

/* *json may be NULL: the answer is not wanted. */
static int ask(struct agent_call *call, const char *method, const char *path,
	       const char *body, json_t **json)
{
	struct answer answer = {NULL, 0};
	const char *message;
	json_t *object;
	long status = 0;
	int err = perform(call, method, path, body, &answer, &status);

	if (err) {
		free(answer.text);
		return err;
	}
	object = answer.text ? json_loads(answer.text, 0, NULL) : NULL;
	free(answer.text);
	if (status / 100 == 2) {
		if (json)
			*json = json_incref(object);
		json_decref(object);
		return 0;
	}
	message = json_string_value(json_object_get(object, "message"));
	snprintf(call->message, sizeof(call->message), "the agent: %ld %.400s",
		 status, message ? message : "without a reason");
	json_decref(object);
	return status == 404 ? -ENOENT : -EPROTO;
}

static void path_of(char path[URL_SIZE], const struct agent_call *call)
{
	snprintf(path, URL_SIZE, "/v1/sandboxes/%s", call->id);
}

int agent_call_init(struct agent_call *call, const char *socket, const char *id,
		    const char *attachment)
{
	size_t i;

	*call = (struct agent_call){.socket = socket};
	if (strlen(attachment) >= sizeof(call->attachment)) {
		snprintf(call->message, sizeof(call->message),
			 "\"%.80s\": too long", attachment);
		return -EINVAL;
	}
	memcpy(call->attachment, attachment, strlen(attachment) + 1);
	for (i = 0; i < sizeof(call->id) - 1 && id[i]; i++) {
		char c = id[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c == '_')
			c = '-';
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
		    c != '.' && c != '-')
			break;
		call->id[i] = c;
	}
	if (i > 0 && (!id[i] || i == sizeof(call->id) - 1))
		return 0;
	snprintf(call->message, sizeof(call->message),
		 "container id \"%.80s\": expected letters, digits, '.', '-', "
		 "'_'",
		 id);
	return -EINVAL;
}

int agent_put(struct agent_call *call, json_t *place, json_t *policy,
	      json_t *otherwise)
{
	char path[URL_SIZE];
	char *body;
	int err;

	if (policy)
		json_object_set(place, "policy", policy);
	if (otherwise)
		json_object_set(place, "defaultPolicy", otherwise);
	json_object_set_new(place, "attachment", json_string(call->attachment));
	body = json_dumps(place, JSON_COMPACT);
	json_decref(place);
	if (!body)
		return -ENOMEM;
	path_of(path, call);
	err = ask(call, "PUT", path, body, NULL);
	free(body);
	return err;
}

int agent_get(struct agent_call *call, json_t **record)
{
	char path[URL_SIZE];

	*record = NULL;
	path_of(path, call);
	return ask(call, "GET", path, NULL, record);
}

int agent_detach(struct agent_call *call)
{
	char path[URL_SIZE];
	char *name = curl_easy_escape(NULL, call->attachment, 0);
	int err;

	if (!name)
		return -ENOMEM;
	snprintf(path, sizeof(path), "/v1/sandboxes/%s?attachment=%s", call->id,
		 name);
	curl_free(name);
	err = ask(call, "DELETE", path, NULL, NULL);
	return err == -ENOENT ? 0 : err;
}

int agent_list(struct agent_call *call, const char *after, json_t **list)
{
	char path[URL_SIZE];

	*list = NULL;
	snprintf(path, sizeof(path), "/v1/sandboxes?limit=%d%s%.100s", PAGE,
		 after[0] ? "&after=" : "", after);
	return ask(call, "GET", path, NULL, list);
}

json_t *policy_from_annotation(const json_t *text)
{
	const char *value = json_string_value(text);

	return value ? json_loads(value,
				  JSON_REJECT_DUPLICATES | JSON_DECODE_ANY,
				  NULL)
		     : NULL;
}
