/*
 * probe NAME... - whether each function, looked up as any program would, is libstandin's. Prints
 * those that are not.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static int from_us(const char *name)
{
    Dl_info info;
    void *at = dlsym(RTLD_DEFAULT, name);
    return at && dladdr(at, &info) && info.dli_fname && strstr(info.dli_fname, "libstandin.so");
}

int main(int argc, char **argv)
{
    int bad = 0;
    for (int i = 1; i < argc; i++) {
        if (!from_us(argv[i])) {
            printf("%s\n", argv[i]);
            bad = 1;
        }
    }
    return bad;
}
