/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_API_INNER_H_INCLUDED_
#define _NGX_HTTP_OSB_API_INNER_H_INCLUDED_


#include "api.h"
#include "answer/answer.h"
#include "request/request.h"


/* the address that clients use, as in opensandbox_public */
typedef struct {
    ngx_http_osb_mode_t *mode;
    ngx_str_t  base;   /* authority and path, without a slash at its end */
    ngx_uint_t scheme; /* whether https is known */
    ngx_uint_t https;
} ngx_http_osb_public_t;


/* one call of the management API */
typedef struct {
    ngx_http_request_t       *request;
    ngx_http_osb_zone_t      *zone;
    ngx_http_osb_main_conf_t *conf;
    ngx_str_t                 id;   /* lower case */
    ngx_str_t                 text; /* the body, as it came */
    json_t                   *body; /* it as JSON; NULL if empty, or
                                       if the call itself reads it */
    const char          *allow;
    ngx_http_osb_fault_t fault;
    ngx_uint_t           held;      /* it finalizes itself */
    ngx_uint_t           endpoints; /* it may ask for them alone */
} ngx_http_osb_call_t;


/* in quotes, 128 bits of a hash in hex */
typedef struct {
    ngx_str_t value;
    u_char    space[2 + 32];
} ngx_http_osb_etag_t;


/* a record of an array */
typedef struct ngx_http_osb_item_s ngx_http_osb_item_t;

struct ngx_http_osb_item_s {
    ngx_http_osb_record_t *record;
    ngx_http_osb_item_t   *next;
    ngx_http_osb_item_t   *same; /* of the same head */
};


/* an array of records that is being read, no id twice */
typedef struct {
    ngx_http_osb_call_t  *call;
    u_char               *p; /* what is to be read */
    u_char               *last;
    ngx_uint_t            line;
    ngx_uint_t            n;
    ngx_http_osb_item_t  *items;
    ngx_http_osb_item_t **tail;
    ngx_http_osb_item_t **heads;
    ngx_uint_t            mask;
    const char           *code; /* of a fault */
    json_t               *warnings;
    ngx_uint_t            nwarnings;
} ngx_http_osb_array_t;


/*
 * Each carries out a call and answers it; the result is for
 * ngx_http_finalize_request().
 */
ngx_int_t
ngx_http_osb_api_get(ngx_http_osb_call_t *call);
ngx_int_t
ngx_http_osb_api_put(ngx_http_osb_call_t *call);
ngx_int_t
ngx_http_osb_api_patch(ngx_http_osb_call_t *call);
ngx_int_t
ngx_http_osb_api_delete(ngx_http_osb_call_t *call);
ngx_int_t
ngx_http_osb_api_list(ngx_http_osb_call_t *call);
ngx_int_t
ngx_http_osb_api_bulk(ngx_http_osb_call_t *call);
ngx_int_t
ngx_http_osb_api_endpoint(ngx_http_osb_call_t *call, ngx_str_t *port);

/*
 * api/array.c: begins with the call's body; the array is zeroed.  NGX_OK;
 * NGX_DECLINED, with array->code and the call's fault set; or NGX_ERROR.
 */
ngx_int_t
ngx_http_osb_array_start(ngx_http_osb_array_t *array,
                         ngx_http_osb_call_t  *call);

/* Reads the next record; the same, or NGX_DONE behind the last one. */
ngx_int_t
ngx_http_osb_array_next(ngx_http_osb_array_t *array);

/* The warnings for the answer, once all is read, still the array's; or NULL. */
json_t *
ngx_http_osb_array_warnings(ngx_http_osb_array_t *array);


/* Answers "/"; NGX_DECLINED where another URI or method is asked for. */
ngx_int_t
ngx_http_osb_api_page(ngx_http_request_t *r);

/* Sets call->held if the request is to finalize itself later. */
ngx_int_t
ngx_http_osb_api_policy(ngx_http_osb_call_t *call);

/* The tag of a representation, and of a record, in the etag's own space. */
void
ngx_http_osb_api_tag(ngx_http_osb_etag_t *etag, u_char *data, size_t len);
ngx_int_t
ngx_http_osb_api_record_tag(ngx_http_osb_record_t *record,
                            ngx_http_osb_etag_t   *etag);

/* The answer's header field, a copy of the tag. */
ngx_int_t
ngx_http_osb_api_set_tag(ngx_http_request_t *r, ngx_str_t *etag);

/* Whether the request has conditions at all. */
ngx_uint_t
ngx_http_osb_api_conditional(ngx_http_request_t *r);

/*
 * Judges the request's conditions, RFC 9110, 13.2.2.  The tag is that of what
 * is there now: NULL if nothing is, empty if it has no tag.  Returns NGX_OK if
 * the call may go on, else the status to answer, 304 or 412.
 */
ngx_int_t
ngx_http_osb_api_judge(ngx_http_request_t *r, ngx_str_t *etag);

/* The answer of that status. */
ngx_int_t
ngx_http_osb_api_refuted(ngx_http_osb_call_t *call, ngx_int_t rc,
                         ngx_str_t *etag);

/*
 * A record's representation with its tag, as the call wants its secrets.
 */
ngx_int_t
ngx_http_osb_api_send_record(ngx_http_osb_call_t *call, ngx_uint_t status,
                             ngx_http_osb_record_t *record);

/* Secrets show only in answers that ask for them by name. */
ngx_uint_t
ngx_http_osb_api_flags(ngx_http_osb_call_t *call);

/* An answer with JSON text, which is copied; a line break is added. */
ngx_int_t
ngx_http_osb_api_send_text(ngx_http_request_t *r, ngx_uint_t status,
                           const char *text, size_t len);

/* The answer with a JSON body; takes the object over.  NULL is a 500. */
ngx_int_t
ngx_http_osb_api_send(ngx_http_request_t *r, ngx_uint_t status, json_t *object);

/* The answer {"code","message","field"} from call->fault. */
ngx_int_t
ngx_http_osb_api_fault(ngx_http_osb_call_t *call, ngx_uint_t status,
                       const char *code);

ngx_int_t
ngx_http_osb_api_missing(ngx_http_osb_call_t *call);

/* The answer to a change that the registry has refused with rc. */
ngx_int_t
ngx_http_osb_api_not_taken(ngx_http_osb_call_t *call, ngx_int_t rc);
ngx_int_t
ngx_http_osb_api_unknown(ngx_http_osb_call_t *call);
ngx_int_t
ngx_http_osb_api_not_allowed(ngx_http_osb_call_t *call);
ngx_int_t
ngx_http_osb_api_refuse(ngx_http_request_t *r);


/*
 * api/public.c: the address for the caller of the API, by that mode, NULL for
 * the one that comes first; NGX_DECLINED if there is none, NGX_ERROR without
 * memory.
 */
ngx_int_t
ngx_http_osb_public_of(ngx_http_request_t *r, ngx_http_osb_mode_t *mode,
                       ngx_http_osb_public_t *public);


#endif /* _NGX_HTTP_OSB_API_INNER_H_INCLUDED_ */
