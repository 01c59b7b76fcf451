-- Lets a request wait while no process of its backend is ready, as when all of them are restarted at once: the
-- client gets its answer some seconds later instead of an error. Nothing of the request has been sent to anybody yet.

local LONGEST_MS = 15000
local LOOK_MS = 50

core.register_action("hold", { "http-req" }, function(txn, backend)
    local waited = 0
    while txn.f:nbsrv(backend) == 0 and waited < LONGEST_MS do
        core.msleep(LOOK_MS)
        waited = waited + LOOK_MS
    end
end, 1)
