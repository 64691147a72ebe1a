/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>


/* Signatures of routes and of cookies, and the keys that make them. */


static u_char *
ngx_http_osb_signature_base32(u_char *p, u_char *src, ngx_uint_t digits);


u_char *
ngx_http_osb_signature_make(u_char *buf, ngx_http_osb_secret_t *key,
                            ngx_uint_t form, ngx_str_t *id, ngx_uint_t port,
                            ngx_str_t *expires)
{
    u_char      be32[4], hash[SHA256_DIGEST_LENGTH], text[256];
    size_t      len;
    unsigned    n;
    EVP_MD_CTX *md;

    static const char *forms[] = {"v1\nshort", "v2\nlong", "v2\ncookie"};

    len = ngx_snprintf(text, sizeof(text), "%s\n%V\n%ui\n%V\n", forms[form], id,
                       port, expires) -
          text;

    if (form != NGX_HTTP_OSB_SHORT) {
        if (HMAC(EVP_sha256(), key->secret.data, (int) key->secret.len, text,
                 len, hash, &n) == NULL)
        {
            return NULL;
        }

        buf = ngx_http_osb_signature_base32(buf, hash,
                                            NGX_HTTP_OSB_LONG_SIG_LEN - 1);
        *buf++ = key->id;

        return buf;
    }

    md = EVP_MD_CTX_new();
    if (md == NULL) {
        return NULL;
    }

    n = 0;

    if (EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1) {
        be32[0] = (u_char) (key->secret.len >> 24);
        be32[1] = (u_char) (key->secret.len >> 16);
        be32[2] = (u_char) (key->secret.len >> 8);
        be32[3] = (u_char) key->secret.len;

        (void) EVP_DigestUpdate(md, be32, 4);
        (void) EVP_DigestUpdate(md, key->secret.data, key->secret.len);

        be32[0] = 0;
        be32[1] = 0;
        be32[2] = (u_char) (len >> 8);
        be32[3] = (u_char) len;

        (void) EVP_DigestUpdate(md, be32, 4);
        (void) EVP_DigestUpdate(md, text, len);
        (void) EVP_DigestFinal_ex(md, hash, &n);
    }

    EVP_MD_CTX_free(md);

    if (n == 0) {
        return NULL;
    }

    buf = ngx_hex_dump(buf, hash, 4);
    *buf++ = key->id;

    return buf;
}


const char *
ngx_http_osb_signature_verify(ngx_http_osb_main_conf_t *omcf,
                              ngx_http_osb_ctx_t *ctx, ngx_uint_t form,
                              ngx_str_t *expires, ngx_str_t *signature)
{
    u_char  buf[NGX_HTTP_OSB_LONG_SIG_LEN];
    u_char *last;

    ngx_http_osb_secret_t *key;

    key = ngx_http_osb_signature_key(omcf, signature);

    if (key == NULL) {
        return "signed with an unknown key";
    }

    last = ngx_http_osb_signature_make(buf, key, form, &ctx->id,
                                       ctx->route.port, expires);

    if (last == NULL || last - buf != (ssize_t) signature->len ||
        CRYPTO_memcmp(buf, signature->data, signature->len) != 0)
    {
        return "wrong signature";
    }

    if (ngx_http_osb_parse_expires(expires) < ngx_time()) {
        return "the signature has expired";
    }

    return NULL;
}


ngx_http_osb_secret_t *
ngx_http_osb_signature_key(ngx_http_osb_main_conf_t *omcf, ngx_str_t *signature)
{
    ngx_uint_t             i;
    ngx_http_osb_secret_t *key;

    key = omcf->keys.elts;

    for (i = 0; i < omcf->keys.nelts; i++) {
        if (key[i].id == signature->data[signature->len - 1]) {
            return &key[i];
        }
    }

    return NULL;
}


/* RFC 4648 in lower case */

static u_char *
ngx_http_osb_signature_base32(u_char *p, u_char *src, ngx_uint_t digits)
{
    ngx_uint_t bits, value;

    bits = 0;
    value = 0;

    while (digits--) {
        if (bits < 5) {
            value = (value << 8) | *src++;
            bits += 8;
        }

        bits -= 5;
        *p++ = "abcdefghijklmnopqrstuvwxyz234567"[(value >> bits) & 31];
    }

    return p;
}


ngx_uint_t
ngx_http_osb_signature_equal(ngx_str_t *one, ngx_str_t *two)
{
    u_char a[SHA256_DIGEST_LENGTH], b[SHA256_DIGEST_LENGTH];

    /* of equal length whatever is compared */

    (void) SHA256(one->data, one->len, a);
    (void) SHA256(two->data, two->len, b);

    return CRYPTO_memcmp(a, b, SHA256_DIGEST_LENGTH) == 0;
}


char *
ngx_http_osb_signature_keys(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_osb_main_conf_t *omcf = conf;

    u_char                 ch;
    ngx_str_t             *value, text, secret;
    ngx_uint_t             i, n;
    ngx_http_osb_secret_t *key, *other;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        ch = value[i].data[0];

        if (value[i].len < 3 || value[i].data[1] != '=' ||
            ((ch < '0' || ch > '9') && (ch < 'a' || ch > 'z')))
        {
            ngx_conf_log_error(
                NGX_LOG_EMERG, cf, 0,
                "a key is \"id=base64\", its id one of [0-9a-z]");
            return NGX_CONF_ERROR;
        }

        other = omcf->keys.elts;

        for (n = 0; n < omcf->keys.nelts; n++) {
            if (other[n].id == ch) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "duplicate key \"%c\"",
                                   ch);
                return NGX_CONF_ERROR;
            }
        }

        text.data = value[i].data + 2;
        text.len = value[i].len - 2;

        secret.data =
            ngx_pnalloc(cf->pool, ngx_base64_decoded_length(text.len));
        if (secret.data == NULL) {
            return NGX_CONF_ERROR;
        }

        if (ngx_decode_base64(&secret, &text) != NGX_OK || secret.len == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "the secret of key \"%c\" is not base64", ch);
            return NGX_CONF_ERROR;
        }

        key = ngx_array_push(&omcf->keys);
        if (key == NULL) {
            return NGX_CONF_ERROR;
        }

        key->id = ch;
        key->secret = secret;
    }

    return NGX_CONF_OK;
}
