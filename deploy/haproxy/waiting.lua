-- Requests wait for a process instead of being refused, and a process gets none before it said that it can take them.

local LONGEST_MS = 30000
local LOOK_MS = 100

-- Lets a request wait while no process of its backend is there, as when all of them are restarted at once: the client gets
-- its answer some seconds later instead of an error. Nothing of the request has been sent to anybody yet. The
-- configuration bounds how many may wait, so that those who wait for one backend leave room for the other's.
core.register_action("wait", { "http-req" }, function(txn, backend)
    local waited, seen = 0, 0
    repeat
        core.msleep(LOOK_MS)
        waited = waited + LOOK_MS
        seen = txn.f:nbsrv(backend) > 0 and seen + 1 or 0
    until seen == 2 or waited >= LONGEST_MS -- twice, as one that is new counts for a moment, see below
end, 1)

-- A server that has a new address counts as ready until its first check failed. So it is taken out at once, and its first
-- check that succeeds brings it in. (HAProxy 3.1 and later can be told so: `init-state down`.)
core.register_task(function()
    local known = {}
    while true do
        for _, backend in pairs(core.backends) do
            for name, server in pairs(backend.servers) do
                local place, address = backend:get_name() .. "/" .. name, server:get_addr()
                if known[place] ~= address then
                    known[place] = address
                    server:check_force_down()
                end
            end
        end
        core.msleep(20)
    end
end)
