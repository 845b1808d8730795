/* A text tower that the library's model and a checkpoint both have is one: its states are the same
 * bits as before, computed from the library's weights; a tower that differs is left alone. */
#include "clip/arch.h"
#include "clip/arch/vit.h"
#include "golden/sd_toy.h"
#include "sampler/checkpoint.h"

enum { CONTEXT = 77, WIDTH = 64 };

static const char *const checkpoint_dir = "toy-share-checkpoint";
static const char *const model_dir = "toy-share-model";

/* What the CLIP model made of the checkpoint's text tower has otherwise. */
struct edit {
    bool wide;        /* the token table in f32, its values the same */
    const char *last; /* this tensor's last value is another one */
    const char *act;
};

static const struct {
    const char *name;
    int ndim;
    int64_t dim[4];
} rest[] = {
    {"logit_scale", 0, {0}},
    {"text_projection.weight", 2, {16, WIDTH}},
    {"visual_projection.weight", 2, {16, 32}},
    {"vision_model.embeddings.class_embedding", 1, {32}},
    {"vision_model.embeddings.patch_embedding.weight", 4, {32, 3, 8, 8}},
    {"vision_model.embeddings.position_embedding.weight", 2, {2, 32}},
    {"vision_model.pre_layrnorm.weight", 1, {32}},
    {"vision_model.pre_layrnorm.bias", 1, {32}},
    {"vision_model.post_layernorm.weight", 1, {32}},
    {"vision_model.post_layernorm.bias", 1, {32}},
    {"vision_model.encoder.layers.0.layer_norm1.weight", 1, {32}},
    {"vision_model.encoder.layers.0.layer_norm1.bias", 1, {32}},
    {"vision_model.encoder.layers.0.layer_norm2.weight", 1, {32}},
    {"vision_model.encoder.layers.0.layer_norm2.bias", 1, {32}},
    {"vision_model.encoder.layers.0.self_attn.q_proj.weight", 2, {32, 32}},
    {"vision_model.encoder.layers.0.self_attn.q_proj.bias", 1, {32}},
    {"vision_model.encoder.layers.0.self_attn.k_proj.weight", 2, {32, 32}},
    {"vision_model.encoder.layers.0.self_attn.k_proj.bias", 1, {32}},
    {"vision_model.encoder.layers.0.self_attn.v_proj.weight", 2, {32, 32}},
    {"vision_model.encoder.layers.0.self_attn.v_proj.bias", 1, {32}},
    {"vision_model.encoder.layers.0.self_attn.out_proj.weight", 2, {32, 32}},
    {"vision_model.encoder.layers.0.self_attn.out_proj.bias", 1, {32}},
    {"vision_model.encoder.layers.0.mlp.fc1.weight", 2, {64, 32}},
    {"vision_model.encoder.layers.0.mlp.fc1.bias", 1, {64}},
    {"vision_model.encoder.layers.0.mlp.fc2.weight", 2, {32, 64}},
    {"vision_model.encoder.layers.0.mlp.fc2.bias", 1, {32}},
};

static void widen(struct tensor *t)
{
    size_t n = (size_t)tensor_count(t);
    float *x = mem_array(n, sizeof *x);
    tensor_to_f32(t, x);
    mem_free(t->data);
    *t = tensor_view(x, DT_F32, t->ndim, t->dim);
}

static void write_model(const struct edit *e)
{
    json_t *m = sd_manifest(), *rows = json_object_get(m, "tensors");
    size_t n = json_array_size(rows), used = 0;
    struct weights_out_tensor *t = mem_zarray(n + sizeof rest / sizeof *rest, sizeof *t);
    struct error err = {0};
    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_array_get(rows, i);
        if (strcmp(sd_row_text(row, 0), "text_encoder") != 0)
            continue;
        t[used] = sd_tensor(row, &(struct sd_toy){.folder = true});
        size_t last = (size_t)tensor_count(&t[used].t) - 1;
        if (e->wide && strstr(t[used].name, "token_embedding"))
            widen(&t[used].t);
        if (e->last && strcmp(e->last, t[used].name) == 0)
            ((char *)t[used].t.data)[last * (t[used].t.dtype == DT_F32 ? 4 : 2)] ^= 1;
        used++;
    }
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++, used++) {
        t[used].name = mem_strdup(rest[i].name);
        t[used].t = tensor_view(NULL, DT_F32, rest[i].ndim, rest[i].dim);
        t[used].t.data =
            toy_values("share", rest[i].name, (size_t)tensor_count(&t[used].t), DT_F32, 0.1, 0.1);
    }
    char *config = mem_printf(
        "{\"model_type\": \"clip\", \"projection_dim\": 16, \"text_config\": {\"hidden_size\": 64, "
        "\"intermediate_size\": 160, \"num_hidden_layers\": 3, \"num_attention_heads\": 1, "
        "\"hidden_act\": \"%s\"}, \"vision_config\": {\"hidden_size\": 32, \"intermediate_size\": "
        "64, \"num_hidden_layers\": 1, \"num_attention_heads\": 1, \"image_size\": 8, "
        "\"patch_size\": 8}}",
        e->act ? e->act : "quick_gelu");
    sd_write_text(model_dir, "config.json", config);
    char *file = path_join(model_dir, "model.safetensors");
    if (weights_write(file, t, (int)used, NULL, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < used; i++) {
        mem_free(t[i].t.data);
        mem_free((char *)(uintptr_t)t[i].name);
    }
    mem_free(t);
    mem_free(file);
    mem_free(config);
    json_decref(m);
}

static void states_of(const struct checkpoint *c, float *y)
{
    struct backend *be = NULL;
    struct arena arena = {0};
    struct error err = {0};
    int32_t ids[CONTEXT];
    for (int i = 0; i < CONTEXT; i++)
        ids[i] = (i * 977) % 49408;
    assert_int_equal(backend_open(&be, "cpu", 1, &err), ST_OK);
    struct clip_run r = {.be = be, .arena = &arena, .tower = "text", .err = &err};
    struct tensor t = tensor_view(y, DT_F32, 3, (int64_t[]){1, CONTEXT, WIDTH});
    assert_int_equal(net_text_run(&r, &c->text, &t, ids, 1, 2), ST_OK);
    assert_int_equal(backend_sync(be, NULL), ST_OK);
    backend_close(be);
    arena_release(&arena);
}

/* Is it shared with such a model? Its states are the same either way. */
static bool shared_with(const struct edit *e)
{
    static float before[CONTEXT * WIDTH], after[CONTEXT * WIDTH];
    struct checkpoint *c = NULL;
    struct clip *clip = NULL;
    struct error err = {0};
    char *path = sd_toy_write(checkpoint_dir, &(struct sd_toy){.folder = true});
    write_model(e);
    if (checkpoint_open(&c, path, NULL, &err) || clip_open(&clip, model_dir, NULL, &err))
        fail_msg("%s", err.text);
    const struct clip_vit_text *v = clip_vit_text_of(clip);
    const void *own = c->text.v.tokens.data;
    assert_non_null(v);
    states_of(c, before);
    bool shared = checkpoint_share_text(c, clip);
    assert_ptr_equal(c->text.v.tokens.data, shared ? v->tokens.data : own);
    assert_true((c->text.v.t.layer[2].fc2.w.data == v->t.layer[2].fc2.w.data) == shared);
    states_of(c, after);
    for (int i = 0; i < CONTEXT * WIDTH; i++)
        assert_float_equal(after[i], before[i], 0);
    checkpoint_close(c);
    clip_close(clip);
    mem_free(path);
    sd_toy_remove(model_dir);
    sd_toy_remove(checkpoint_dir);
    return shared;
}

static void equal_weights_are_shared(void **state)
{
    (void)state;
    assert_true(shared_with(&(struct edit){0}));
    assert_true(shared_with(&(struct edit){.wide = true})); /* whatever dtype they lie in */
}

static void one_other_value_is_another_tower(void **state)
{
    (void)state;
    static const char *const names[] = {
        "text_model.embeddings.token_embedding.weight",
        "text_model.embeddings.position_embedding.weight",
        "text_model.final_layer_norm.bias",
        "text_model.encoder.layers.2.mlp.fc2.weight",
        "text_model.encoder.layers.1.self_attn.v_proj.bias",
        "text_model.encoder.layers.0.layer_norm1.weight",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_false(shared_with(&(struct edit){.last = names[i]}));
    assert_false(shared_with(
        &(struct edit){.wide = true, .last = "text_model.embeddings.token_embedding.weight"}));
    assert_false(shared_with(&(struct edit){.act = "gelu"}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_weights_are_shared),
        cmocka_unit_test(one_other_value_is_another_tower),
    };
    return cmocka_run_group_tests_name("checkpoint share", tests, NULL, NULL);
}
