/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_API_INNER_H_INCLUDED_
#define _NGX_HTTP_OSB_API_INNER_H_INCLUDED_


#include "api.h"
#include "answer/answer.h"
#include "request/request.h"
#include "status/status.h"


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
    ngx_str_t                 id;     /* lower case */
    ngx_str_t                 source; /* it acts for */
    ngx_str_t                 text;   /* the body, as it came */
    json_t                   *body;   /* it as JSON; NULL if empty, or
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
 * An array on its way into the registry.  A step returns NGX_AGAIN if there is
 * more to do, NGX_BUSY if that has to wait for others, NGX_DONE if the call is
 * answered.
 */
typedef struct ngx_http_osb_bulk_s ngx_http_osb_bulk_t;

typedef ngx_int_t (*ngx_http_osb_step_pt)(ngx_http_osb_bulk_t *bulk);

struct ngx_http_osb_bulk_s {
    ngx_http_osb_call_t  call;
    ngx_http_osb_array_t array;
    ngx_http_osb_step_pt step;
    ngx_http_osb_step_pt ready; /* the step behind the last record read */
    ngx_http_osb_step_pt full;  /* the step in a zone that is full */
    ngx_http_osb_step_pt reply; /* the step that answers */
    ngx_event_t          event;
    ngx_http_osb_batch_t batch;
    ngx_http_osb_item_t *at;
    ngx_int_t            refusal;   /* why it is not taken */
    json_t              *revoked;   /* ids */
    json_t              *conflicts; /* ids that other sources hold */
    ngx_int_t            rc;        /* what finalizes the request */

    /* of an array that is all of a source */
    ngx_http_osb_walk_t walk;
    ngx_uint_t          added;
    ngx_uint_t          changed;
    ngx_uint_t          removed;
    ngx_uint_t          unchanged;
};


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
ngx_http_osb_api_feed(ngx_http_osb_call_t *call);
ngx_int_t
ngx_http_osb_api_sources(ngx_http_osb_call_t *call, ngx_str_t *rest);
ngx_int_t
ngx_http_osb_api_events(ngx_http_osb_call_t *call);
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

/* Whether it has a record of that id. */
ngx_uint_t
ngx_http_osb_array_has(ngx_http_osb_array_t *array, ngx_str_t *id);

/* The warnings for the answer, once all is read, still the array's; or NULL. */
json_t *
ngx_http_osb_array_warnings(ngx_http_osb_array_t *array);


/*
 * api/bulk.c: begins with the first step of an array; its other ones are set.
 * Like a call.
 */
ngx_int_t
ngx_http_osb_bulk_run(ngx_http_osb_bulk_t *bulk, ngx_http_osb_call_t *call);

/* A new one, all zero; NULL without memory. */
ngx_http_osb_bulk_t *
ngx_http_osb_bulk_create(ngx_http_request_t *r);

/* Finishes the call with the result of its answer. */
ngx_int_t
ngx_http_osb_bulk_answer(ngx_http_osb_bulk_t *bulk, ngx_int_t rc);

/* Takes back what the batch has; then the answer says why. */
ngx_int_t
ngx_http_osb_bulk_refuse(ngx_http_osb_bulk_t *bulk, ngx_int_t refusal);

/* Steps: commits and publishes the batch; takes what the records take away. */
ngx_int_t
ngx_http_osb_bulk_commit(ngx_http_osb_bulk_t *bulk);
ngx_int_t
ngx_http_osb_bulk_revoke(ngx_http_osb_bulk_t *bulk);

/* Notes the id of a record that another source holds. */
ngx_int_t
ngx_http_osb_bulk_conflict(ngx_http_osb_bulk_t   *bulk,
                           ngx_http_osb_record_t *record);

/*
 * api/source.c: reads for whom the call acts.  NGX_OK, or NGX_ERROR with the
 * call's fault set.
 */
ngx_int_t
ngx_http_osb_api_source(ngx_http_osb_call_t *call);

/*
 * Makes the call's source that of a record's object, which may name it, or the
 * one that the record of that id has.  The same.
 */
ngx_int_t
ngx_http_osb_api_own(ngx_http_osb_call_t *call, json_t *object, ngx_str_t *id);

/* Makes sure that there is a slot for it; NGX_OK or NGX_ERROR. */
ngx_int_t
ngx_http_osb_api_source_reserve(ngx_http_osb_call_t *call);

/* The answers where another source holds the record, and without a slot. */
ngx_int_t
ngx_http_osb_api_held(ngx_http_osb_call_t *call, ngx_http_osb_record_t *record);
ngx_int_t
ngx_http_osb_api_sources_full(ngx_http_osb_call_t *call);


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
ngx_int_t
ngx_http_osb_api_forbid(ngx_http_request_t *r);


/*
 * api/public.c: the address for the caller of the API, by that mode, NULL for
 * the one that comes first; NGX_DECLINED if there is none, NGX_ERROR without
 * memory.
 */
ngx_int_t
ngx_http_osb_public_of(ngx_http_request_t *r, ngx_http_osb_mode_t *mode,
                       ngx_http_osb_public_t *public);


#endif /* _NGX_HTTP_OSB_API_INNER_H_INCLUDED_ */
