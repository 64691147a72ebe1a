/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_RECORD_RECORD_H_INCLUDED_
#define _NGX_HTTP_OSB_RECORD_RECORD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>


/* the largest record, strings included, its policy not; it must fit a stack
 * buffer */
#define NGX_HTTP_OSB_RECORD_SIZE 4096

/* a token, or a host */
#define NGX_HTTP_OSB_TEXT_LEN 255

/* a policy's text, and what a whole record may take; offsets have 16 bits */
#define NGX_HTTP_OSB_POLICY_SIZE  49152
#define NGX_HTTP_OSB_POLICY_RULES 4096
#define NGX_HTTP_OSB_RECORD_MAX \
    (NGX_HTTP_OSB_RECORD_SIZE + NGX_HTTP_OSB_POLICY_SIZE)

/* the largest address, IPv6 */
#define NGX_HTTP_OSB_ADDR_LEN 16

/* a source's name */
#define NGX_HTTP_OSB_SOURCE_LEN 32
#define NGX_HTTP_OSB_SOURCE_EXPECTED                                       \
    "a source is 1 to 32 of a-z, 0-9, '.', '_' and '-', it begins with a " \
    "letter or digit, and is not \"include\""

/* bytes of a time as text */
#define NGX_HTTP_OSB_TIME_LEN 20

/* connect(2) wants path and generation within sun_path */
#define NGX_HTTP_OSB_UNIX_LEN 96

/* the end of a sandbox that has none */
#define NGX_HTTP_OSB_NEVER INT64_MAX

typedef enum {
    NGX_HTTP_OSB_STATE_RUNNING = 0,
    NGX_HTTP_OSB_STATE_PAUSED,
    NGX_HTTP_OSB_STATE_AMBIGUOUS
} ngx_http_osb_state_e;


/* for record_json() and record_text() */
#define NGX_HTTP_OSB_SHOW_SECRETS 1


typedef enum {
    NGX_HTTP_OSB_ENDPOINT_NONE = 0,
    NGX_HTTP_OSB_ENDPOINT_INET,
    NGX_HTTP_OSB_ENDPOINT_INET6,
    NGX_HTTP_OSB_ENDPOINT_NAME,
    NGX_HTTP_OSB_ENDPOINT_UNIX
} ngx_http_osb_endpoint_kind_e;


/* a string inside a record: offset from the record's start, and length */
typedef struct {
    uint16_t offset;
    uint16_t len;
} ngx_http_osb_text_t;


/*
 * Where connections go.  The port, in host order, is 0 for the route's own; the
 * text is an address in network order, a host name or a path.
 */
typedef struct {
    uint16_t            from;
    uint16_t            port;
    uint16_t            kind;
    ngx_http_osb_text_t text;
} ngx_http_osb_endpoint_t;


typedef struct {
    uint16_t first;
    uint16_t last;
} ngx_http_osb_range_t;


/*
 * A sandbox's record, one piece of memory without pointers, so that it can be
 * copied into and out of shared memory with its strings, the id first.  The
 * registry sets the generation: two records with the same generation lead to
 * the same endpoints and admit the same people.
 */
typedef struct {
    uint64_t generation;
    int64_t  expires; /* unix seconds */
    uint32_t epoch;   /* of the declared records, when it was written */
    uint16_t size;
    uint16_t lean; /* the size without the policy's JSON, which stands last */

    /* another for each policy that the sandbox has had; set by the registry */
    uint32_t edition;

    uint16_t nranges;
    uint16_t ranges; /* offset */
    uint16_t nmapped;
    uint16_t mapped; /* offset of the port map */

    uint16_t ready : 1;
    uint16_t secure : 1;
    uint16_t limited : 1;  /* to the ranges */
    uint16_t declared : 1; /* by the configuration */
    uint16_t source : 6;   /* bytes of a feeder's name, behind the id; or 0 */

    /* whether the path goes on unstripped, where the record says so */
    uint16_t keep_prefix_set : 1;
    uint16_t keep_prefix : 1;

    uint16_t state : 2;

    ngx_http_osb_text_t     id;
    ngx_http_osb_text_t     token;
    ngx_http_osb_text_t     host;
    ngx_http_osb_text_t     headers; /* JSON, see record/headers.c */
    ngx_http_osb_endpoint_t endpoint;
} ngx_http_osb_record_t;


/* one that is paused, or that two claim, may well say that it is ready */
#define ngx_http_osb_record_serves(record) \
    ((record)->ready && (record)->state == NGX_HTTP_OSB_STATE_RUNNING)


/*
 * What is wrong with a record: the JSON key, and a sentence.  A good one may
 * have warnings: what of its policy was taken in another sense than written,
 * a JSON array as text in the pool.
 */
typedef struct {
    char      field[64];
    char      message[256];
    ngx_str_t warnings;
} ngx_http_osb_fault_t;


/* record/record.c */

/*
 * Builds a record from a JSON object.  The id, folded to lower case already,
 * is the one of the URL or block; where it is NULL the object must have one.
 * With partial, missing keys are no fault.  The record is in the pool; NULL
 * with fault->message set if the object is bad, empty if memory is short.
 */
ngx_http_osb_record_t *
ngx_http_osb_record_parse(ngx_pool_t *pool, json_t *object, ngx_str_t *id,
                          ngx_uint_t partial, ngx_http_osb_fault_t *fault);

/* The record as a new JSON object, for the caller to release; or NULL. */
json_t *
ngx_http_osb_record_json(ngx_http_osb_record_t *record, ngx_uint_t flags);

/*
 * The record as compact JSON text, for the caller to free(); or NULL.  A given
 * record has one such text, whichever way it came.
 */
char *
ngx_http_osb_record_text(ngx_http_osb_record_t *record, ngx_uint_t flags,
                         size_t *len);

/* Whether connections and rights of the one are good for the other too. */
ngx_uint_t
ngx_http_osb_record_same(ngx_http_osb_record_t *one,
                         ngx_http_osb_record_t *two);

/*
 * What the new record takes away from those who come by the old one, and from
 * the sandbox itself.  A doubt counts as taken.
 */
#define NGX_HTTP_OSB_REVOKES_ENTRY  1
#define NGX_HTTP_OSB_REVOKES_POLICY 2

ngx_uint_t
ngx_http_osb_record_revokes(ngx_http_osb_record_t *old,
                            ngx_http_osb_record_t *record);


/* record/source.c */

/* "include", "api" or a feeder's name, in the record's memory. */
ngx_str_t
ngx_http_osb_record_source(ngx_http_osb_record_t *record);

/* Whether it is the name of a source that can be fed. */
ngx_uint_t
ngx_http_osb_source_valid(ngx_str_t *name);

/* Whether the source may change the record, or delete it. */
ngx_uint_t
ngx_http_osb_record_obeys(ngx_http_osb_record_t *record, ngx_str_t *source);

/* Whether the new record may take the place of the old one, as its source. */
ngx_uint_t
ngx_http_osb_record_yields(ngx_http_osb_record_t *old,
                           ngx_http_osb_record_t *record);


/* record/ports.c */

/*
 * The endpoint of a port, the record's own or the port map's; NULL if the port
 * is not exposed, or leads nowhere.
 */
ngx_http_osb_endpoint_t *
ngx_http_osb_record_endpoint(ngx_http_osb_record_t *record, ngx_uint_t port);

/* Is it not ready, and known to be nowhere so far? */
ngx_uint_t
ngx_http_osb_record_nowhere(ngx_http_osb_record_t *record);


/* record/endpoint.c */

/*
 * Writes an address as a record has it, with the port if it is not 0.  Returns
 * the end; the buffer has room for the text and 64 bytes more, an IPv4 address
 * and its port take 21 at most.
 */
u_char *
ngx_http_osb_endpoint_print(u_char *buf, ngx_http_osb_endpoint_t *endpoint,
                            ngx_str_t *text, ngx_uint_t port);


/* record/headers.c */

/* Adds the "endpointHeaders" of a port to the object; NGX_OK or NGX_ERROR. */
ngx_int_t
ngx_http_osb_headers_add(ngx_http_osb_record_t *record, ngx_uint_t port,
                         json_t *headers);


/* record/time.c */

/*
 * Writes unix seconds as a time of RFC 3339 in UTC.  Returns the end; the
 * buffer has room for NGX_HTTP_OSB_TIME_LEN bytes, for years up to 9999.
 */
u_char *
ngx_http_osb_time_print(u_char *buf, int64_t seconds);


/* record/policy.c */

/* The record's policy, as JSON in its own memory; empty without one. */
ngx_str_t
ngx_http_osb_policy_of(ngx_http_osb_record_t *record);


/* record/fault.c */

/* Writes "what" on the field into the fault. */
void
ngx_http_osb_fault(ngx_http_osb_fault_t *fault, const char *field,
                   const char *format, ...)
    __attribute__((format(printf, 3, 4)));


/* record/sandbox_block.c */

/* opensandbox_sandbox ID { ... } */
char *
ngx_http_osb_sandbox_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


/* record/policy_block.c */

/* opensandbox_policy NAME { ... } */
char *
ngx_http_osb_policy_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Gives declared records the policies that they name. */
ngx_int_t
ngx_http_osb_policy_resolve(ngx_conf_t *cf);


/* One of a record's strings, in the record's own memory. */

static ngx_inline ngx_str_t
ngx_http_osb_text(ngx_http_osb_record_t *record, ngx_http_osb_text_t *text)
{
    ngx_str_t value;

    value.data = (u_char *) record + text->offset;
    value.len = text->len;

    return value;
}


#endif /* _NGX_HTTP_OSB_RECORD_RECORD_H_INCLUDED_ */
