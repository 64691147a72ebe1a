/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/* Reads an array of records, one after the other. */


#define NGX_HTTP_OSB_ARRAY_MAX 1000000

/* warnings in an answer; of more, how many there are */
#define NGX_HTTP_OSB_ARRAY_WARNINGS 100

/* bytes of the body for a head of the table of ids */
#define NGX_HTTP_OSB_ARRAY_SPREAD 128


static ngx_int_t
ngx_http_osb_array_item(ngx_http_osb_array_t *array, json_t *object);
static ngx_int_t
ngx_http_osb_array_warn(ngx_http_osb_array_t *array, ngx_str_t *id);
static void
ngx_http_osb_array_space(ngx_http_osb_array_t *array);
static ngx_int_t
ngx_http_osb_array_bad(ngx_http_osb_array_t *array, const char *text);
static ngx_int_t
ngx_http_osb_array_expected(ngx_http_osb_array_t *array);


ngx_int_t
ngx_http_osb_array_start(ngx_http_osb_array_t *array, ngx_http_osb_call_t *call)
{
    json_t      *body;
    ngx_str_t   *text;
    ngx_uint_t   n;
    json_error_t error;

    text = &call->text;

    array->call = call;
    array->p = text->data;
    array->last = text->data + text->len;
    array->line = 1;
    array->tail = &array->items;

    ngx_http_osb_array_space(array);

    if (array->p == array->last || *array->p != '[') {
        body = text->len ? json_loadb((char *) text->data, text->len,
                                      JSON_DECODE_ANY, &error)
                         : NULL;

        if (body == NULL && text->len) {
            array->line = error.line;
            return ngx_http_osb_array_bad(array, error.text);
        }

        json_decref(body);

        return ngx_http_osb_array_expected(array);
    }

    array->p++;

    for (n = 64; n * NGX_HTTP_OSB_ARRAY_SPREAD < text->len &&
                 n < NGX_HTTP_OSB_ARRAY_MAX;
         n *= 2)
    { /* void */
    }

    array->mask = n - 1;
    array->heads =
        ngx_pcalloc(call->request->pool, n * sizeof(ngx_http_osb_item_t *));

    return array->heads ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_osb_array_next(ngx_http_osb_array_t *array)
{
    u_char      *end;
    json_t      *object;
    ngx_int_t    rc;
    json_error_t error;

    ngx_http_osb_array_space(array);

    if (array->p < array->last && *array->p == ']') {
        array->p++;
        ngx_http_osb_array_space(array);

        return array->p == array->last
                   ? NGX_DONE
                   : ngx_http_osb_array_bad(array, "end of file expected");
    }

    if (array->n) {

        if (array->p == array->last || *array->p != ',') {
            return ngx_http_osb_array_bad(array, "']' expected");
        }

        array->p++;
        ngx_http_osb_array_space(array);
    }

    object = json_loadb((char *) array->p, (size_t) (array->last - array->p),
                        JSON_REJECT_DUPLICATES | JSON_DECODE_ANY |
                            JSON_DISABLE_EOF_CHECK,
                        &error);

    if (object == NULL) {
        array->line += (ngx_uint_t) error.line - 1;
        return ngx_http_osb_array_bad(array, error.text);
    }

    for (end = array->p + error.position; array->p < end; array->p++) {
        array->line += (*array->p == '\n');
    }

    rc = ngx_http_osb_array_item(array, object);

    json_decref(object);

    return rc;
}


static ngx_int_t
ngx_http_osb_array_item(ngx_http_osb_array_t *array, json_t *object)
{
    char                   field[64];
    ngx_str_t              id;
    ngx_pool_t            *pool;
    ngx_http_osb_item_t   *item, **head;
    ngx_http_osb_fault_t  *fault;
    ngx_http_osb_record_t *record;

    pool = array->call->request->pool;
    fault = &array->call->fault;
    array->code = "bad_record";

    if (array->n == NGX_HTTP_OSB_ARRAY_MAX) {
        return ngx_http_osb_array_expected(array);
    }

    record = NULL;

    if (ngx_http_osb_api_own(array->call, object, NULL) == NGX_OK) {
        record = ngx_http_osb_record_parse(pool, object, NULL, 0, fault);
    }

    if (record == NULL) {
        (void) snprintf(field, sizeof(field), "[%u]%s%.40s",
                        (unsigned) array->n, fault->field[0] ? "." : "",
                        fault->field);
        ngx_memcpy(fault->field, field, sizeof(field));
        return NGX_DECLINED;
    }

    id = ngx_http_osb_text(record, &record->id);

    if (ngx_http_osb_array_has(array, &id)) {
        (void) snprintf(field, sizeof(field), "[%u].id", (unsigned) array->n);
        ngx_http_osb_fault(fault, field, "the id is there twice");
        return NGX_DECLINED;
    }

    if (fault->warnings.len && ngx_http_osb_array_warn(array, &id) != NGX_OK) {
        return NGX_ERROR;
    }

    item = ngx_palloc(pool, sizeof(ngx_http_osb_item_t));
    if (item == NULL) {
        return NGX_ERROR;
    }

    head = &array->heads[ngx_murmur_hash2(id.data, id.len) & array->mask];

    item->record = record;
    item->next = NULL;
    item->same = *head;

    *head = item;
    *array->tail = item;
    array->tail = &item->next;
    array->n++;

    return NGX_OK;
}


ngx_uint_t
ngx_http_osb_array_has(ngx_http_osb_array_t *array, ngx_str_t *id)
{
    ngx_str_t            own;
    ngx_http_osb_item_t *item;

    item = array->heads[ngx_murmur_hash2(id->data, id->len) & array->mask];

    for (/* void */; item; item = item->same) {
        own = ngx_http_osb_text(item->record, &item->record->id);

        if (ngx_memn2cmp(id->data, own.data, id->len, own.len) == 0) {
            return 1;
        }
    }

    return 0;
}


/* Keeps what a record's policy was taken for, with its id, for the answer. */

static ngx_int_t
ngx_http_osb_array_warn(ngx_http_osb_array_t *array, ngx_str_t *id)
{
    json_t    *list, *item;
    size_t     i;
    ngx_str_t *text;

    text = &array->call->fault.warnings;
    list = json_loadb((char *) text->data, text->len, 0, NULL);

    if (array->warnings == NULL) {
        array->warnings = json_array();
    }

    if (list == NULL || array->warnings == NULL) {
        json_decref(list);
        return NGX_ERROR;
    }

    json_array_foreach(list, i, item)
    {
        if (array->nwarnings++ < NGX_HTTP_OSB_ARRAY_WARNINGS) {
            (void) json_array_append_new(array->warnings,
                                         json_sprintf("%.*s: %s", (int) id->len,
                                                      (char *) id->data,
                                                      json_string_value(item)));
        }
    }

    json_decref(list);

    return NGX_OK;
}


json_t *
ngx_http_osb_array_warnings(ngx_http_osb_array_t *array)
{
    if (array->nwarnings > NGX_HTTP_OSB_ARRAY_WARNINGS) {
        (void) json_array_append_new(
            array->warnings,
            json_sprintf(
                "and %u more",
                (unsigned) (array->nwarnings - NGX_HTTP_OSB_ARRAY_WARNINGS)));
    }

    return array->warnings;
}


static void
ngx_http_osb_array_space(ngx_http_osb_array_t *array)
{
    for (/* void */; array->p < array->last; array->p++) {

        if (*array->p == '\n') {
            array->line++;

        } else if (*array->p != ' ' && *array->p != '\t' && *array->p != '\r') {
            return;
        }
    }
}


static ngx_int_t
ngx_http_osb_array_bad(ngx_http_osb_array_t *array, const char *text)
{
    array->code = "bad_json";
    ngx_http_osb_fault(&array->call->fault, "",
                       "the body is not JSON: %s, line %u", text,
                       (unsigned) array->line);

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_osb_array_expected(ngx_http_osb_array_t *array)
{
    array->code = "bad_record";
    ngx_http_osb_fault(&array->call->fault, "",
                       "an array of at most %d records is expected",
                       NGX_HTTP_OSB_ARRAY_MAX);

    return NGX_DECLINED;
}
