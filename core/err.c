#include "err.h"

#include "check.h"

static const char *const texts[] = {[ERR_OK] = "success",
#define ERR(name, text) [ERR_##name] = text,
                                    ERR_LIST
#undef ERR
};

static const char *const names[] = {[ERR_OK] = "OK",
#define ERR(name, text) [ERR_##name] = "E" #name,
                                    ERR_LIST
#undef ERR
};

static const char *const drop_texts[] = {[DROP_NONE] = "used",
#define DROP(name, text) [DROP_##name] = text,
                                         DROP_LIST
#undef DROP
};

static const char *const drop_names[] = {[DROP_NONE] = "NONE",
#define DROP(name, text) [DROP_##name] = #name,
                                         DROP_LIST
#undef DROP
};

const char *err_text(int err)
{
    int e = err < 0 ? -err : err;
    return e < ERR_COUNT ? texts[e] : "unknown error";
}

const char *err_name(int err)
{
    int e = err < 0 ? -err : err;
    return e < ERR_COUNT ? names[e] : "E?";
}

const char *drop_name(enum drop d)
{
    return (unsigned)d < DROP_COUNT ? drop_names[d] : "?";
}

const char *drop_text(enum drop d)
{
    return (unsigned)d < DROP_COUNT ? drop_texts[d] : "unknown reason";
}
