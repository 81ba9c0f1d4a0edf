#include "knobs.h"

#include <string.h>

#include "check.h"
#include "err.h"
#include "profile.h"

const struct knob_info knob_table[] = {
#define KNOB(name, def, lo, hi, unit) {#name, def, lo, hi, unit, offsetof(struct knobs, name)},
    KNOB_LIST
#undef KNOB
};

const size_t knob_count = ARRAY_LEN(knob_table);

static int32_t *field(struct knobs *k, const struct knob_info *info)
{
    return (int32_t *)(void *)((unsigned char *)k + info->offset);
}

void knobs_default(struct knobs *k)
{
    for (size_t i = 0; i < knob_count; i++) {
        *field(k, &knob_table[i]) = knob_table[i].def;
    }
}

const struct knob_info *knobs_find(const char *name)
{
    for (size_t i = 0; i < knob_count; i++) {
        if (strcmp(knob_table[i].name, name) == 0) {
            return &knob_table[i];
        }
    }
    return NULL;
}

int knobs_set(struct knobs *k, const char *name, int64_t value)
{
    const struct knob_info *info = knobs_find(name);

    if (!info) {
        return -ERR_NOENT;
    }
    if (value < info->min || value > info->max) {
        return -ERR_DOM;
    }
    *field(k, info) = (int32_t)value;
    if (field(k, info) == &k->user_profile) {
        profile_apply(k, (enum profile_id)value);
    }
    return 0;
}
