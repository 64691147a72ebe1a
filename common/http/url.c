/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <curl/curl.h>
#include <string.h>

bool url_is_web(const char *text)
{
	char *scheme = NULL, *host = NULL;
	CURLU *url = curl_url();
	bool web;

	web = url && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
	      curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	      curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	      host[0] &&
	      (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(url);
	return web;
}
