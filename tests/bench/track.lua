-- One event a request; 5,000 people in turn.
local number = 0

function init(arguments)
  wrk.headers["Authorization"] = "Bearer " .. (arguments[1] or "none")
  wrk.headers["Content-Type"] = "application/json"
end

function request()
  number = number + 1
  return wrk.format("POST", "/v1/track", nil,
    '{"event":"order completed","email":"person' .. (number % 5000) .. '@example.com",' ..
    '"data":{"plan":"pro","amount":49.9,"number":' .. number .. ',"source":"web"}}')
end
