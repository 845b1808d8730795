/* What lies under a path. */
#include "core/file.h"
#include <sys/vfs.h>

bool file_on_network(const char *path)
{
    static const unsigned long kinds[] = {
        0x6969,     /* NFS */
        0x517B,     /* SMB */
        0xFF534D42, /* CIFS */
        0xFE534D42, /* SMB2 */
        0x65735546, /* FUSE */
        0x01021997, /* 9p */
        0x5346414F, /* AFS */
        0x73757245, /* Coda */
        0x00C36400, /* Ceph */
        0x7461636F, /* OCFS2 */
        0x01161970, /* GFS2 */
    };
    struct statfs fs;
    if (statfs(path, &fs) != 0)
        return false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (((unsigned long)fs.f_type & 0xFFFFFFFFUL) == kinds[i])
            return true;
    return false;
}
