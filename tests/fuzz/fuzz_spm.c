/* Any bytes as a SentencePiece model: what opens must normalise and split any text, in both
 * libraries' ways, into ids that it has. Every message must be one printable line. */
#include "clip/spm.h"
#include "core/mem.h"
#include "tests/fuzz/message.h"
#include "tests/fuzz/structure.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(struct spm *s, const struct vocab *v)
{
    static const char text[] = "a  caf\xc3\xa9 \xef\xbc\xa1\xe2\x84\xa2 \xe3\x8e\x8f\r\n "
                               "\xf0\x9f\x90\x95\xe2\x96\x81x";
    struct token_list l = {0};
    struct utext u = {0};
    struct buf b;
    buf_init(&b, (size_t)1 << 24);
    if (spm_normalize(s, v, text, sizeof text - 1, &b) && b.data &&
        !spm_split(s, v, b.data, b.len, &l))
        abort();
    for (size_t i = 0; i < l.n; i++)
        if (l.id[i] < 0 || (size_t)l.id[i] >= v->n)
            abort();
    s->hf = true;
    if (!utext_decode(&u, text, sizeof text - 1) || !spm_precompiled(s, &u))
        abort();
    utext_release(&u);
    buf_release(&b);
    token_list_release(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct spm s = {0};
    struct vocab v = {0};
    struct error err = {ST_OK, ""};
    bool refused = spm_read(&s, &v, (const char *)data, size, "fuzz.model", &err) != ST_OK;
    if (!refused)
        use(&s, &v);
    fuzz_message(&err, refused);
    spm_release(&s);
    vocab_release(&v);
    return 0;
}

FUZZ_STRUCTURE(grammar_protobuf)
