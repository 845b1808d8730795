/* The list of commands. A command is one file that ends in one const struct, and one line here. */
#include "app/app.h"

const struct command *const commands[] = {
    &cmd_index,    &cmd_search,     &cmd_similar, &cmd_export,   &cmd_duplicates, &cmd_caption,
    &cmd_info,     &cmd_stats,      &cmd_errors,  &cmd_check,    &cmd_backup,     &cmd_forget,
    &cmd_generate, &cmd_embed,      &cmd_merge,   &cmd_tokenize, &cmd_model,      &cmd_bench,
    &cmd_doctor,   &cmd_completion, &cmd_man,     NULL,
};
