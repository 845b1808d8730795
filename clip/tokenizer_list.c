/* The tokenizers there are. A new kind is one more file and one more line here. */
#include "clip/tokenizer_int.h"

const struct tokenizer_rules *const tokenizer_list[] = {
    &tokenizer_rules_clip_hf,
    &tokenizer_rules_clip_open,
    &tokenizer_rules_wordpiece,
    &tokenizer_rules_siglip,
    &tokenizer_rules_xlmr,
    &tokenizer_rules_gemma,
    &tokenizer_rules_t5_clean,
    &tokenizer_rules_gemma_clean,
    &tokenizer_rules_roberta,
    &tokenizer_rules_gpt2,
    NULL,
};
