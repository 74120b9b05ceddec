-- wrk -s post.lua URL -- CONTENT_TYPE FILE...   Sends the files in turn, without end.
local bodies, turn = {}, 0

function init(arguments)
   wrk.method = "POST"
   wrk.headers["Content-Type"] = arguments[1]
   for i = 2, #arguments do
      local file = assert(io.open(arguments[i], "rb"))
      table.insert(bodies, wrk.format(nil, nil, nil, file:read("*a")))
      file:close()
   end
end

function request()
   turn = turn % #bodies + 1
   return bodies[turn]
end
