/*
 * What a script gives to a shell works on the namespace, and the stack reads it there. Two things
 * it cannot read: that cookies and metrics are to be forgotten, and which discipline the queue of
 * the device has, for a kernel may be without it. They are heard of as the command is run.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/tcp_fastopen.h"
#include "judge.h"

#ifndef SO_MAX_PACING_RATE
#define SO_MAX_PACING_RATE 47
#endif

void judge_command(struct judge *j, const char *text)
{
    pthread_mutex_lock(&j->lock);
    if (strstr(text, "tcp_metrics flush")) {
        tfo_flush(vk_stack(j->vk));
    }
    if (strstr(text, "root fq")) {
        j->fq = true;
    }
    pthread_mutex_unlock(&j->lock);
}

/* Linux, not RFC: fq paces every connection, as fast as its window and round trip say. */
void judge_pace(struct judge *j, int fd)
{
    uint64_t any = UINT64_MAX / 2;
    struct vk_call c = {.op = VK_SETSOCKOPT, .fd = fd};

    if (fd < 0 || !j->fq) {
        return;
    }
    c.u.opt.level = SOL_SOCKET;
    c.u.opt.name = SO_MAX_PACING_RATE;
    c.u.opt.val = &any;
    c.u.opt.size = sizeof any;
    judge_call(j, &c);
}
