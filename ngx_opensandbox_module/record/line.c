/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/* What a line of an opensandbox_sandbox block is as JSON; see inner.h. */


json_t *
ngx_http_osb_line_text(json_t *old, ngx_str_t *args, ngx_uint_t n)
{
    return json_stringn((char *) args->data, args->len);
}


json_t *
ngx_http_osb_line_list(json_t *old, ngx_str_t *args, ngx_uint_t n)
{
    json_t    *list;
    ngx_uint_t i;

    list = old ? json_incref(old) : json_array();

    for (i = 0; i < n; i++) {
        if (json_array_append_new(
                list, json_stringn((char *) args[i].data, args[i].len)) != 0)
        {
            json_decref(list);
            return NULL;
        }
    }

    return list;
}


json_t *
ngx_http_osb_line_map(json_t *old, ngx_str_t *args, ngx_uint_t n)
{
    json_t *map;

    map = old ? json_incref(old) : json_object();

    if (json_object_set_new(map, (char *) args[0].data,
                            json_stringn((char *) args[1].data, args[1].len)) !=
        0)
    {
        json_decref(map);
        return NULL;
    }

    return map;
}


json_t *
ngx_http_osb_line_flag(json_t *old, ngx_str_t *args, ngx_uint_t n)
{
    if (ngx_strcmp(args->data, "on") == 0) {
        return json_true();
    }

    if (ngx_strcmp(args->data, "off") == 0) {
        return json_false();
    }

    return NULL;
}


/* PORT NAME VALUE */

json_t *
ngx_http_osb_line_header(json_t *old, ngx_str_t *args, ngx_uint_t n)
{
    json_t *map, *headers;

    map = old ? json_incref(old) : json_object();
    headers = json_object_get(map, (char *) args[0].data);

    if (headers == NULL) {
        headers = json_object();
        (void) json_object_set_new(map, (char *) args[0].data, headers);
    }

    /* a name that stands there twice is no way to have two values */

    if (json_object_get(headers, (char *) args[1].data) ||
        json_object_set_new(headers, (char *) args[1].data,
                            json_stringn((char *) args[2].data, args[2].len)) !=
            0)
    {
        json_decref(map);
        return NULL;
    }

    return map;
}
